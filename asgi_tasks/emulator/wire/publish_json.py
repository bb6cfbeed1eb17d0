"""
Publish requests from JSON. json_format would do, but takes longer for a message than all the rest
of publishing it, and takes for base64 what Google does not.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from google.pubsub_v1 import types

from asgi_tasks.emulator.api.checks import Protobuf
from asgi_tasks.emulator.errors import InvalidArgument

_REQUEST: Final = types.PublishRequest.pb()
_MESSAGE: Final = types.PubsubMessage.pb()
_URL_SAFE: Final = str.maketrans("-_", "+/")

_FIELDS: Final = {
    "data": "data",
    "attributes": "attributes",
    "orderingKey": "ordering_key",
    "ordering_key": "ordering_key",
}
# What Google fills in is not an error, and not taken.
_OUTPUT_ONLY: Final = frozenset({"messageId", "message_id", "publishTime", "publish_time"})


def publish_request(document: Mapping[str, Any]) -> Protobuf:
    _check_names("", document, {"messages", "topic"})
    messages = document.get("messages") or []
    if not isinstance(messages, list):
        raise InvalidArgument("messages: must be a list.")
    return _REQUEST(
        messages=[_message(f"messages[{index}]", item) for index, item in enumerate(messages)]
    )


def _message(place: str, item: object) -> Protobuf:
    if not isinstance(item, dict):
        raise InvalidArgument(f"{place}: must be an object.")
    values = {
        _FIELDS[name]: value
        for name, value in item.items()
        if value is not None and name in _FIELDS
    }
    if len(values) < len(item):
        _check_names(f"{place}.", item, _FIELDS.keys() | _OUTPUT_ONLY)
    if "data" in values:
        values["data"] = _bytes(f"{place}.data", values["data"])
    try:
        return _MESSAGE(**values)
    except (TypeError, ValueError):
        raise InvalidArgument(
            f"{place}: attributes must map strings to strings, and orderingKey be a string."
        ) from None


def _bytes(place: str, text: object) -> bytes:
    """Base64 in either alphabet, padded or not."""
    if not isinstance(text, str):
        raise InvalidArgument(f"{place}: must be a string of base64.")
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded.translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument(f"{place}: is not base64.") from None


def _check_names(prefix: str, document: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(document.keys() - known)
    if unknown:
        raise InvalidArgument(f"{prefix}{unknown[0]}: there is no such field.")
