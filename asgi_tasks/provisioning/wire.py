"""Topics and subscriptions <-> Google's messages. Loads nothing of Google's by itself."""

from collections.abc import Iterable
from typing import Any, Final

from .resources import Subscription, Topic

EXPORTS: Final = ("bigquery_config", "cloud_storage_config", "bigtable_config")
DEFAULT_TTL: Final = 31 * 86_400.0  # of a subscription without an expiration policy

type Protobuf = Any  # the plain classes behind google.pubsub_v1.types, untyped for lack of stubs


def topic_from(message: Protobuf) -> Topic:
    return Topic(name=message.name, labels=dict(message.labels))


def subscription_from(message: Protobuf) -> Subscription:
    push, retry, dead = message.push_config, message.retry_policy, message.dead_letter_policy
    retries = message.HasField("retry_policy")
    return Subscription(
        name=message.name,
        topic=message.topic,
        endpoint=push.push_endpoint,
        service_account=push.oidc_token.service_account_email,
        audience=push.oidc_token.audience,
        unwrapped=push.HasField("no_wrapper"),
        ack_deadline=message.ack_deadline_seconds,
        min_retry_delay=_seconds(retry.minimum_backoff) if retries else None,
        max_retry_delay=_seconds(retry.maximum_backoff) if retries else None,
        dead_letter_topic=dead.dead_letter_topic,
        max_delivery_attempts=dead.max_delivery_attempts,
        retention=_seconds(message.message_retention_duration),
        expires_after=_ttl(message),
        labels=dict(message.labels),
        filter=message.filter,
        ordered=message.enable_message_ordering,
        export=_export(message),
        detached=message.detached,
    )


def topic_request(topic: Topic) -> dict[str, Any]:
    """What CreateTopic and UpdateTopic take."""
    return {"name": topic.name, "labels": dict(topic.labels)}


def subscription_request(subscription: Subscription) -> dict[str, Any]:
    """What CreateSubscription and UpdateSubscription take.

    https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions
    """
    return {
        "name": subscription.name,
        "topic": subscription.topic,
        "push_config": _push_config(subscription),
        "ack_deadline_seconds": subscription.ack_deadline,
        "message_retention_duration": {"seconds": int(subscription.retention)},
        "expiration_policy": _expiration_policy(subscription),
        "labels": dict(subscription.labels),
        **_policies(subscription),
    }


def grants_from(policy: Protobuf) -> frozenset[tuple[str, str]]:
    """Who has which role for certain, that is without a condition."""
    return frozenset(
        (binding.role, member)
        for binding in policy.bindings
        if not binding.HasField("condition")
        for member in binding.members
    )


def add_grant(policy: Protobuf, role: str, member: str) -> None:
    """Give the role in this policy; all that it holds besides stays."""
    bindings: Iterable[Protobuf] = policy.bindings
    for binding in bindings:
        if binding.role == role and not binding.HasField("condition"):
            binding.members.append(member)
            return
    policy.bindings.add(role=role, members=[member])


def _push_config(subscription: Subscription) -> dict[str, Any]:
    if not subscription.endpoint:
        return {}
    token = {
        "service_account_email": subscription.service_account,
        "audience": subscription.audience,
    }
    return {"push_endpoint": subscription.endpoint, "oidc_token": token}


def _expiration_policy(subscription: Subscription) -> dict[str, Any]:
    # Set and empty is never; not set would be after 31 idle days.
    ttl = subscription.expires_after
    return {} if ttl is None else {"ttl": {"seconds": int(ttl)}}


def _policies(subscription: Subscription) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if subscription.min_retry_delay is not None and subscription.max_retry_delay is not None:
        found["retry_policy"] = {
            "minimum_backoff": {"seconds": int(subscription.min_retry_delay)},
            "maximum_backoff": {"seconds": int(subscription.max_retry_delay)},
        }
    if subscription.dead_letter_topic:
        found["dead_letter_policy"] = {
            "dead_letter_topic": subscription.dead_letter_topic,
            "max_delivery_attempts": subscription.max_delivery_attempts,
        }
    return found


def _seconds(duration: Protobuf) -> float:
    return float(duration.seconds) + float(duration.nanos) / 1e9


def _ttl(message: Protobuf) -> float | None:
    if not message.HasField("expiration_policy"):
        return DEFAULT_TTL
    policy = message.expiration_policy
    return _seconds(policy.ttl) if policy.HasField("ttl") else None


def _export(message: Protobuf) -> str:
    known = message.DESCRIPTOR.fields_by_name
    return next((name for name in EXPORTS if name in known and message.HasField(name)), "")
