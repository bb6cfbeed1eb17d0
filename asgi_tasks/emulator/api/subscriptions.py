"""Google's Subscription <-> the broker's. Every default and every rule about a field is here."""

from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from google.pubsub_v1 import types

from asgi_tasks.emulator.api import checks
from asgi_tasks.emulator.api.checks import DAY, MINUTE, Protobuf
from asgi_tasks.emulator.broker.filters import Filter
from asgi_tasks.emulator.broker.model import (
    DeadLetterPolicy,
    PushTarget,
    RetryPolicy,
    Subscription,
    Topic,
)
from asgi_tasks.emulator.errors import InvalidArgument

FIELDS: Final = frozenset(
    {
        "name",
        "topic",
        "push_config",
        "ack_deadline_seconds",
        "retain_acked_messages",
        "message_retention_duration",
        "labels",
        "enable_message_ordering",
        "expiration_policy",
        "filter",
        "dead_letter_policy",
        "retry_policy",
    }
)
PUSH_FIELDS: Final = frozenset({"push_endpoint", "attributes", "oidc_token", "pubsub_wrapper"})
OUTPUT_ONLY: Final = frozenset({"state", "detached", "topic_message_retention_duration"})
IMMUTABLE: Final = frozenset({"name", "topic", "filter", "enable_message_ordering", "tags"})


def read(resource: Protobuf) -> Subscription:
    """The broker's view of a subscription; fills in Google's defaults where a field is unset."""
    checks.checked_name("topics", "topic", resource.topic)
    resource.name = resource.name or _random_name(resource.topic)
    checks.checked_name("subscriptions", "name", resource.name)
    checks.check_supported(resource, FIELDS, OUTPUT_ONLY)
    _fill_defaults(resource)
    return Subscription(
        name=resource.name,
        topic=resource.topic,
        ack_deadline=checks.within("ack_deadline_seconds", resource.ack_deadline_seconds, 10, 600),
        push=_push_target(resource.push_config),
        retry=_retry_policy(resource),
        dead_letter=_dead_letter_policy(resource),
        filter=Filter.parse(resource.filter) if resource.filter else None,
        ordered=resource.enable_message_ordering,
        retention=_retention(resource),
        idle_ttl=_idle_ttl(resource),
        resource=resource,
    )


def write(subscription: Subscription, topic: Topic | None) -> Protobuf:
    """As Google shows it; the topic is None once it has been deleted."""
    resource = _copy(subscription)
    resource.topic = subscription.topic
    resource.state = types.Subscription.State.ACTIVE
    if topic is not None and topic.resource.HasField("message_retention_duration"):
        resource.topic_message_retention_duration.CopyFrom(
            topic.resource.message_retention_duration
        )
    return resource


def merged(current: Subscription, request: Protobuf) -> Subscription:
    """The subscription after an UpdateSubscriptionRequest."""
    resource = _copy(current)
    checks.merge(request, request.subscription, resource, IMMUTABLE)
    return read(resource)


def with_push_config(current: Subscription, push_config: Protobuf) -> Subscription:
    resource = _copy(current)
    resource.push_config.CopyFrom(push_config)
    return read(resource)


def _random_name(topic: str) -> str:
    return f"{topic.partition('/topics/')[0]}/subscriptions/sub-{uuid4().hex}"


def _copy(subscription: Subscription) -> Protobuf:
    resource = types.Subscription.pb()()
    resource.CopyFrom(subscription.resource)
    return resource


def _fill_defaults(resource: Protobuf) -> None:
    resource.ack_deadline_seconds = resource.ack_deadline_seconds or 10
    if not resource.HasField("message_retention_duration"):
        resource.message_retention_duration.FromSeconds(7 * DAY)
    if not resource.HasField("expiration_policy"):
        resource.expiration_policy.ttl.FromSeconds(31 * DAY)
    if resource.push_config.push_endpoint:
        resource.push_config.attributes.setdefault("x-goog-version", "v1")
    if resource.HasField("retry_policy"):
        _fill_backoffs(resource.retry_policy)
    if resource.HasField("dead_letter_policy"):
        policy = resource.dead_letter_policy
        policy.max_delivery_attempts = policy.max_delivery_attempts or 5


def _fill_backoffs(policy: Protobuf) -> None:
    if not policy.HasField("minimum_backoff"):
        policy.minimum_backoff.FromSeconds(10)
    if not policy.HasField("maximum_backoff"):
        policy.maximum_backoff.FromSeconds(600)


def _retention(resource: Protobuf) -> float:
    retention = checks.seconds(resource.message_retention_duration)
    return checks.within("message_retention_duration", retention, 10 * MINUTE, 31 * DAY)


def _idle_ttl(resource: Protobuf) -> float | None:
    if not resource.expiration_policy.HasField("ttl"):
        return None
    ttl = checks.seconds(resource.expiration_policy.ttl)
    return checks.within("expiration_policy.ttl", ttl, DAY, float("inf"))


def _push_target(config: Protobuf) -> PushTarget | None:
    checks.check_supported(config, PUSH_FIELDS, frozenset(), "push_config.")
    if not config.push_endpoint:
        return None
    if not _is_web_address(config.push_endpoint):
        raise InvalidArgument("push_config.push_endpoint: must be an http:// or https:// URL.")
    token = config.oidc_token
    if config.HasField("oidc_token") and not token.service_account_email:
        raise InvalidArgument("push_config.oidc_token.service_account_email: must be set.")
    return PushTarget(
        endpoint=config.push_endpoint,
        service_account=token.service_account_email,
        audience=token.audience,
    )


def _is_web_address(text: str) -> bool:
    if not text.isprintable():
        return False
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _retry_policy(resource: Protobuf) -> RetryPolicy | None:
    if not resource.HasField("retry_policy"):
        return None
    policy = resource.retry_policy
    minimum, maximum = (
        checks.seconds(policy.minimum_backoff),
        checks.seconds(policy.maximum_backoff),
    )
    checks.within("retry_policy.minimum_backoff", minimum, 0, 600)
    checks.within("retry_policy.maximum_backoff", maximum, 0, 600)
    if minimum > maximum:
        raise InvalidArgument("retry_policy.minimum_backoff: is more than maximum_backoff.")
    return RetryPolicy(minimum_backoff=minimum, maximum_backoff=maximum)


def _dead_letter_policy(resource: Protobuf) -> DeadLetterPolicy | None:
    if not resource.HasField("dead_letter_policy"):
        return None
    policy, prefix = resource.dead_letter_policy, "dead_letter_policy"
    checks.checked_name("topics", f"{prefix}.dead_letter_topic", policy.dead_letter_topic)
    attempts = checks.within(
        f"{prefix}.max_delivery_attempts", policy.max_delivery_attempts, 5, 100
    )
    return DeadLetterPolicy(topic=policy.dead_letter_topic, max_delivery_attempts=attempts)
