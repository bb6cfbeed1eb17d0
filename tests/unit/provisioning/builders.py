"""A site's routes, what they need, and a project that has it."""

from dataclasses import replace
from datetime import date

from asgi_tasks import TaskRoute
from asgi_tasks.conf import parse_options
from asgi_tasks.provisioning import Live, Pair, desired
from asgi_tasks.routes import RouteTable
from tests.site import tasks

OPTIONS = {
    "project_id": "gyrinx-1",
    "environment": "prod",
    "topic_prefix": "gyrinx-tasks",
    "routes": "gyrinx.task_routes",
    "service_url": "https://gyrinx.app",
    "push_service_account": "invoker@gyrinx-1.iam.gserviceaccount.com",
}
TOPICS = "projects/gyrinx-1/topics/prod-gyrinx-tasks"
SUBSCRIPTIONS = "projects/gyrinx-1/subscriptions/prod-gyrinx-tasks"
AGENT = "serviceAccount:service-42@gcp-sa-pubsub.iam.gserviceaccount.com"
TODAY = date(2026, 11, 22)


def wanted(*routes, agent=AGENT, **options):
    return desired(RouteTable(routes, parse_options(OPTIONS | options)), agent=agent)


def one_route(**fields) -> Pair:
    """The topic and subscription of a single route."""
    (pair,) = wanted(TaskRoute(tasks.add, **fields)).routes
    return pair


def provisioned(desired) -> Live:
    """A project that has it all, and of which every policy was read."""
    grants = {pair.grant.resource: pair.grant for pair in desired if pair.grant}
    return Live(
        topics={pair.topic.name: pair.topic for pair in desired},
        subscriptions={pair.subscription.name: pair.subscription for pair in desired},
        grants={name: frozenset({(g.role, g.member)}) for name, g in grants.items()},
    )


def with_subscription(live, subscription, **changes):
    """The same project, but for this subscription."""
    changed = replace(subscription, **changes)
    return replace(live, subscriptions={**live.subscriptions, changed.name: changed})


def with_topic(live, topic, **changes):
    changed = replace(topic, **changes)
    return replace(live, topics={**live.topics, changed.name: changed})


def without(live, *names):
    """The same project after these were deleted, and their policies with them."""
    kinds = ("topics", "subscriptions", "grants")
    left = {
        kind: {name: value for name, value in getattr(live, kind).items() if name not in names}
        for kind in kinds
    }
    return replace(live, **left)
