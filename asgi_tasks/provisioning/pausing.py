"""Stopping and restarting the delivery of one task: pure.

Push config and label change in one call, so there is no state between the two.
"""

from dataclasses import replace
from datetime import date

from .changes import Action, Change
from .drift import differences, is_paused, unpushed
from .labels import PAUSED
from .resources import Pair, Subscription


def pause(live: Subscription, today: date) -> Change | None:
    """What clears the push config; None if it is paused."""
    labels = {PAUSED: today.isoformat(), **live.labels}
    return _change(live, replace(unpushed(live), labels=labels))


def resume(live: Subscription, pair: Pair) -> Change | None:
    """What restores the push config; None if it is pushed as its route says."""
    wanted = pair.subscription
    labels = {name: value for name, value in live.labels.items() if name != PAUSED}
    return _change(
        live,
        replace(
            live,
            endpoint=wanted.endpoint,
            service_account=wanted.service_account,
            audience=wanted.audience,
            unwrapped=wanted.unwrapped,
            labels=labels,
        ),
    )


def paused_since(live: Subscription) -> str:
    """The date of a pause, as the label has it."""
    return live.labels[PAUSED] if is_paused(live) else ""


def _change(live: Subscription, wanted: Subscription) -> Change | None:
    found = tuple(differences(live, wanted))
    return Change(action=Action.UPDATE, resource=wanted, differences=found) if found else None
