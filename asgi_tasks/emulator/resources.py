"""
Google's protobuf <-> the broker's own types. Every default and every rule about a field is here,
once for gRPC and REST. Messages are the plain protobuf classes, untyped for lack of stubs.
"""

import re
from typing import Any, Final
from urllib.parse import urlsplit

from google.pubsub_v1 import types

from asgi_tasks.emulator.errors import InvalidArgument, Unimplemented
from asgi_tasks.emulator.model import (
    DeadLetterPolicy,
    Draft,
    Lease,
    PushTarget,
    RetryPolicy,
    Subscription,
    Topic,
)

type Protobuf = Any

MINUTE: Final = 60
DAY: Final = 24 * 60 * MINUTE
MAX_REQUEST_BYTES: Final = 10_000_000
MAX_MESSAGES: Final = 1000

# Accepted fields. What is not here would change behaviour, and is refused rather than ignored.
TOPIC_FIELDS: Final = frozenset(
    {"name", "labels", "kms_key_name", "message_storage_policy", "message_retention_duration"}
)
SUBSCRIPTION_FIELDS: Final = frozenset(
    {
        "name",
        "topic",
        "push_config",
        "ack_deadline_seconds",
        "retain_acked_messages",
        "message_retention_duration",
        "labels",
        "expiration_policy",
        "dead_letter_policy",
        "retry_policy",
    }
)
PUSH_FIELDS: Final = frozenset({"push_endpoint", "attributes", "oidc_token", "pubsub_wrapper"})
OUTPUT_ONLY: Final = frozenset({"state", "satisfies_pzs", "topic_message_retention_duration"})
IMMUTABLE: Final = frozenset({"name", "topic", "filter", "enable_message_ordering", "tags"})

_RESOURCE = re.compile(
    r"projects/[^/]+/(?P<kind>topics|subscriptions)/(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}"
)
_PROJECT = re.compile(r"projects/[^/]+")


def checked_name(kind: str, field: str, name: str) -> str:
    """A full resource name of that kind, "topics" or "subscriptions"."""
    match = _RESOURCE.fullmatch(name)
    if match is None or match["kind"] != kind:
        raise InvalidArgument(
            f"{field}: {name!r} is not projects/PROJECT/{kind}/NAME, where NAME has 3 to 255 of "
            "letters, digits and -_.~+%, starts with a letter and not with goog."
        )
    return name


def checked_project(name: str) -> str:
    if _PROJECT.fullmatch(name) is None:
        raise InvalidArgument(f"project: {name!r} is not projects/PROJECT.")
    return name


def read_topic(resource: Protobuf) -> Topic:
    checked_name("topics", "name", resource.name)
    _check_supported(resource, TOPIC_FIELDS, "")
    return Topic(name=resource.name, resource=resource)


def write_topic(topic: Topic) -> Protobuf:
    return topic.resource


def read_subscription(resource: Protobuf) -> Subscription:
    """The broker's view of a subscription; fills in Google's defaults where a field is unset."""
    checked_name("subscriptions", "name", resource.name)
    checked_name("topics", "topic", resource.topic)
    _check_supported(resource, SUBSCRIPTION_FIELDS, "")
    _fill_defaults(resource)
    _check_lifetimes(resource)
    return Subscription(
        name=resource.name,
        topic=resource.topic,
        ack_deadline=_within("ack_deadline_seconds", resource.ack_deadline_seconds, 10, 600),
        push=_push_target(resource.push_config),
        retry=_retry_policy(resource),
        dead_letter=_dead_letter_policy(resource),
        resource=resource,
    )


def write_subscription(subscription: Subscription) -> Protobuf:
    resource = types.Subscription.pb()()
    resource.CopyFrom(subscription.resource)
    resource.topic = subscription.topic
    resource.state = types.Subscription.State.ACTIVE
    return resource


def merged(current: Subscription, request: Protobuf) -> Subscription:
    """The subscription after an UpdateSubscriptionRequest."""
    _check_mask(request)
    resource = types.Subscription.pb()()
    resource.CopyFrom(current.resource)
    request.update_mask.MergeMessage(request.subscription, resource, True, True)
    return read_subscription(resource)


def with_push_config(current: Subscription, push_config: Protobuf) -> Subscription:
    resource = types.Subscription.pb()()
    resource.CopyFrom(current.resource)
    resource.push_config.CopyFrom(push_config)
    return read_subscription(resource)


def read_drafts(request: Protobuf) -> list[Draft]:
    """The messages of a PublishRequest."""
    if not 1 <= len(request.messages) <= MAX_MESSAGES:
        raise InvalidArgument(f"messages: 1 to {MAX_MESSAGES} a request.")
    if request.ByteSize() > MAX_REQUEST_BYTES:
        raise InvalidArgument(f"messages: more than {MAX_REQUEST_BYTES} bytes in one request.")
    return [_draft(message) for message in request.messages]


def write_lease(subscription: Subscription, lease: Lease) -> Protobuf:
    received = types.ReceivedMessage.pb()(ack_id=lease.ack_id)
    if subscription.dead_letter is not None:
        received.delivery_attempt = lease.attempt
    message = received.message
    message.data = lease.message.data
    message.attributes.update(lease.message.attributes)
    message.message_id = lease.message.message_id
    message.ordering_key = lease.message.ordering_key
    message.publish_time.FromMicroseconds(round(lease.message.published_at * 1_000_000))
    return received


def _check_supported(message: Protobuf, supported: frozenset[str], prefix: str) -> None:
    for field, _ in message.ListFields():
        if field.name in OUTPUT_ONLY:
            message.ClearField(field.name)
        elif field.name not in supported:
            raise Unimplemented(f"{prefix}{field.name}: the emulator does not support it.")


def _check_mask(request: Protobuf) -> None:
    known = types.Subscription.pb().DESCRIPTOR.fields_by_name
    if not request.update_mask.paths:
        raise InvalidArgument("update_mask: must name the fields to update.")
    for path in request.update_mask.paths:
        if path.partition(".")[0] not in known:
            raise InvalidArgument(f"update_mask: a subscription has no field {path!r}.")
        if path in IMMUTABLE:
            raise InvalidArgument(f"update_mask: {path} cannot be changed.")


def _fill_defaults(resource: Protobuf) -> None:
    resource.ack_deadline_seconds = resource.ack_deadline_seconds or 10
    if not resource.HasField("message_retention_duration"):
        resource.message_retention_duration.FromSeconds(7 * DAY)
    if not resource.HasField("expiration_policy"):
        resource.expiration_policy.ttl.FromSeconds(31 * DAY)
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


def _check_lifetimes(resource: Protobuf) -> None:
    retention = _seconds(resource.message_retention_duration)
    _within("message_retention_duration", retention, 10 * MINUTE, 31 * DAY)
    if resource.expiration_policy.HasField("ttl"):
        ttl = _seconds(resource.expiration_policy.ttl)
        _within("expiration_policy.ttl", ttl, DAY, float("inf"))


def _push_target(config: Protobuf) -> PushTarget | None:
    _check_supported(config, PUSH_FIELDS, "push_config.")
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
    minimum, maximum = _seconds(policy.minimum_backoff), _seconds(policy.maximum_backoff)
    _within("retry_policy.minimum_backoff", minimum, 0, 600)
    _within("retry_policy.maximum_backoff", maximum, 0, 600)
    if minimum > maximum:
        raise InvalidArgument("retry_policy.minimum_backoff: is more than maximum_backoff.")
    return RetryPolicy(minimum_backoff=minimum, maximum_backoff=maximum)


def _dead_letter_policy(resource: Protobuf) -> DeadLetterPolicy | None:
    if not resource.HasField("dead_letter_policy"):
        return None
    policy, prefix = resource.dead_letter_policy, "dead_letter_policy"
    checked_name("topics", f"{prefix}.dead_letter_topic", policy.dead_letter_topic)
    attempts = _within(f"{prefix}.max_delivery_attempts", policy.max_delivery_attempts, 5, 100)
    return DeadLetterPolicy(topic=policy.dead_letter_topic, max_delivery_attempts=attempts)


def _draft(message: Protobuf) -> Draft:
    attributes = dict(message.attributes)
    if not message.data and not attributes:
        raise InvalidArgument("messages: each must have data or attributes.")
    if len(attributes) > 100:
        raise InvalidArgument("messages.attributes: at most 100 a message.")
    for key, value in attributes.items():
        _check_attribute(key, value)
    if len(message.ordering_key.encode()) > 1024:
        raise InvalidArgument("messages.ordering_key: at most 1024 bytes.")
    return Draft(data=message.data, attributes=attributes, ordering_key=message.ordering_key)


def _check_attribute(key: str, value: str) -> None:
    if not key or len(key.encode()) > 256:
        raise InvalidArgument("messages.attributes: a key has 1 to 256 bytes.")
    if len(value.encode()) > 1024:
        raise InvalidArgument(f"messages.attributes: the value of {key!r} is over 1024 bytes.")
    if key.startswith("goog") and not key.startswith("googclient_"):
        raise InvalidArgument(f"messages.attributes: {key!r} starts with the reserved goog.")


def _within[N: (int, float)](field: str, value: N, low: float, high: float) -> N:
    if not low <= value <= high:
        raise InvalidArgument(f"{field}: {value:g} is not within {low:g} to {high:g}.")
    return value


def _seconds(duration: Protobuf) -> float:
    return float(duration.seconds) + float(duration.nanos) / 1e9
