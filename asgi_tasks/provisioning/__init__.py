"""
What Pub/Sub has to hold for the routes to work: plan(desired, live, today), then apply it.

Nothing here loads Google's clients before PubSubAdmin is made; the web process never does.
"""

from .applying import Outcome, Status, apply
from .changes import Action, Chain, Change, Difference, Leftover, Plan
from .clients import PubSubAdmin
from .desired import desired
from .planning import plan
from .problems import CallFailed
from .projects import service_agent
from .reading import read_and_plan
from .resources import Desired, Grant, Live, Pair, Subscription, Topic

__all__ = [
    "Action",
    "CallFailed",
    "Chain",
    "Change",
    "Desired",
    "Difference",
    "Grant",
    "Leftover",
    "Live",
    "Outcome",
    "Pair",
    "Plan",
    "PubSubAdmin",
    "Status",
    "Subscription",
    "Topic",
    "apply",
    "desired",
    "plan",
    "read_and_plan",
    "service_agent",
]
