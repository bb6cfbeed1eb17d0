"""How a subscription or topic differs from what it should be, field by field: pure."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from .changes import Difference, Value
from .labels import PAUSED
from .resources import DELETED_TOPIC, Labels, Pair, Subscription, short

# Our name of a field, and the API's.
FIELDS: Final = (
    ("endpoint", "push_config.push_endpoint"),
    ("service_account", "push_config.oidc_token.service_account_email"),
    ("audience", "push_config.oidc_token.audience"),
    ("unwrapped", "push_config.no_wrapper"),
    ("ack_deadline", "ack_deadline_seconds"),
    ("min_retry_delay", "retry_policy.minimum_backoff"),
    ("max_retry_delay", "retry_policy.maximum_backoff"),
    ("dead_letter_topic", "dead_letter_policy.dead_letter_topic"),
    ("max_delivery_attempts", "dead_letter_policy.max_delivery_attempts"),
    ("retention", "message_retention_duration"),
    ("expires_after", "expiration_policy.ttl"),
)


def differences(live: Subscription, wanted: Subscription) -> Iterator[Difference]:
    """What to change of a subscription."""
    for name, field in FIELDS:
        before, after = _value(live, name), _value(wanted, name)
        if before != after:
            yield Difference(field=field, before=before, after=after)
    yield from label_differences(live.labels, wanted.labels)


def label_differences(live: Labels, wanted: Labels) -> Iterator[Difference]:
    """What to change of the labels."""
    for name in sorted(live.keys() | wanted.keys()):
        before, after = live.get(name), wanted.get(name)
        if before != after:
            yield Difference(field=f"labels.{name}", before=before, after=after)


def unpushed(subscription: Subscription) -> Subscription:
    """The same without its push config: messages wait."""
    return replace(subscription, endpoint="", service_account="", audience="", unwrapped=False)


def is_paused(subscription: Subscription) -> bool:
    return PAUSED in subscription.labels


def obstacle(pair: Pair, live: Subscription) -> str | None:
    """Why Pub/Sub cannot make this subscription into the one we need."""
    obstacles = (
        (live.topic == DELETED_TOPIC, "its topic was deleted, and it cannot be given another"),
        (live.topic != pair.topic.name, f"its topic is {live.topic}, which cannot be changed"),
        (live.detached, "it is detached from its topic, which cannot be undone"),
        (live.export, f"it has a {live.export}: it is neither pushed nor pulled"),
        (live.filter, f"its filter {live.filter!r} loses messages and cannot be removed"),
        (live.ordered, "it orders messages, so one that fails blocks others: cannot be undone"),
    )
    return next((why for stands, why in obstacles if stands), None)


def remedy(pair: Pair) -> str:
    """The command a person may run where an obstacle is."""
    project = pair.subscription.name.split("/")[1]
    return f"gcloud pubsub subscriptions delete {short(pair.subscription.name)} --project={project}"


def _value(subscription: Subscription, name: str) -> Value:
    value: Value = getattr(subscription, name)
    return None if name in _NOT_SET_IF_EMPTY and not value else value


_NOT_SET_IF_EMPTY: Final = frozenset(
    (
        *("endpoint", "service_account", "audience", "unwrapped"),
        *("dead_letter_topic", "max_delivery_attempts"),
    )
)
