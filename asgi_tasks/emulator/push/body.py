"""The body of a push."""

import base64
import json
from typing import Any

from asgi_tasks.emulator.broker.model import Lease, Subscription
from asgi_tasks.emulator.clock import rfc3339


def wrapped(subscription: Subscription, lease: Lease) -> bytes:
    """Wrapped, as is the default, with both spellings of what Google spells twice."""
    message = lease.message
    published_at = rfc3339(message.published_at)
    wrapped_message: dict[str, Any] = {
        "messageId": message.message_id,
        "message_id": message.message_id,
        "publishTime": published_at,
        "publish_time": published_at,
    }
    if message.data:
        wrapped_message["data"] = base64.b64encode(message.data).decode("ascii")
    if message.attributes:
        wrapped_message["attributes"] = dict(message.attributes)
    if message.ordering_key:
        wrapped_message["orderingKey"] = message.ordering_key
    body: dict[str, Any] = {"message": wrapped_message, "subscription": subscription.name}
    if subscription.dead_letter is not None:
        body["deliveryAttempt"] = lease.counted
    return json.dumps(body).encode()
