"""Google's PubsubMessage and ReceivedMessage <-> the broker's drafts and leases."""

from typing import Final

from google.pubsub_v1 import types

from asgi_tasks.emulator.api.checks import Protobuf
from asgi_tasks.emulator.broker.model import Draft, Lease, Subscription
from asgi_tasks.emulator.errors import FailedPrecondition, InvalidArgument

# https://cloud.google.com/pubsub/quotas#resource_limits
MAX_REQUEST_BYTES: Final = 10_000_000
MAX_MESSAGES: Final = 1000
MAX_ATTRIBUTES: Final = 100
MAX_KEY_BYTES: Final = 256
MAX_VALUE_BYTES: Final = 1024
MAX_ORDERING_KEY_BYTES: Final = 1024


def read(request: Protobuf) -> list[Draft]:
    """The messages of a PublishRequest."""
    if not 1 <= len(request.messages) <= MAX_MESSAGES:
        raise InvalidArgument(f"messages: 1 to {MAX_MESSAGES} a request.")
    if request.ByteSize() > MAX_REQUEST_BYTES:
        raise InvalidArgument(f"messages: more than {MAX_REQUEST_BYTES} bytes in one request.")
    if len({message.ordering_key for message in request.messages}) > 1:
        raise FailedPrecondition("messages.ordering_key: must be the same for all of a request.")
    return [_draft(message) for message in request.messages]


def write(subscription: Subscription, lease: Lease) -> Protobuf:
    received = types.ReceivedMessage.pb()(ack_id=lease.ack_id)
    if subscription.dead_letter is not None:
        received.delivery_attempt = lease.counted
    message = received.message
    message.data = lease.message.data
    message.attributes.update(lease.message.attributes)
    message.message_id = lease.message.message_id
    message.ordering_key = lease.message.ordering_key
    message.publish_time.FromMicroseconds(round(lease.message.published_at * 1_000_000))
    return received


def _draft(message: Protobuf) -> Draft:
    attributes = dict(message.attributes)
    if not message.data and not attributes:
        raise InvalidArgument("messages: each must have data or attributes.")
    if len(attributes) > MAX_ATTRIBUTES:
        raise InvalidArgument(f"messages.attributes: at most {MAX_ATTRIBUTES} a message.")
    for key, value in attributes.items():
        _check_attribute(key, value)
    if len(message.ordering_key.encode()) > MAX_ORDERING_KEY_BYTES:
        raise InvalidArgument(f"messages.ordering_key: at most {MAX_ORDERING_KEY_BYTES} bytes.")
    return Draft(data=message.data, attributes=attributes, ordering_key=message.ordering_key)


def _check_attribute(key: str, value: str) -> None:
    if not key or len(key.encode()) > MAX_KEY_BYTES:
        raise InvalidArgument(f"messages.attributes: a key has 1 to {MAX_KEY_BYTES} bytes.")
    if len(value.encode()) > MAX_VALUE_BYTES:
        raise InvalidArgument(
            f"messages.attributes: the value of {key!r} is over {MAX_VALUE_BYTES} bytes."
        )
    if key.startswith("goog") and not key.startswith("googclient_"):
        raise InvalidArgument(f"messages.attributes: {key!r} starts with the reserved goog.")
