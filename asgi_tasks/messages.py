"""The message on the wire: TaskMessage to and from bytes, PushEnvelope from bytes.

Pure: no settings, no clock, no input or output. What encode() accepts, decode() accepts and gives
back: encode() asks decode() unless the types alone say so.
"""

import base64
import binascii
import functools
import hmac
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self, TypeGuard

from django.utils.crypto import constant_time_compare, salted_hmac

from .exceptions import InvalidMessage, TaskNotFound

VERSION = 1
SIGNATURE_VERSION = 1  # of what is signed, so that older messages keep their signatures
MAX_DEPTH = 64
# Commas and opening brackets outside of strings: millions would hold the event loop for seconds.
MAX_VALUES = 500_000
MAX_ATTRIBUTES = 1000  # Pub/Sub takes 100 from a publisher and adds its own
TASK_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", re.ASCII)
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
PUBSUB_NAME = re.compile(r"projects/[\w.:-]{1,255}/subscriptions/[\w.~+%-]{1,255}", re.ASCII)

# A string, even a cut one, is stepped over whole. Possessive: nothing is ever read twice.
TOO_MANY_VALUES = re.compile(
    r'(?:[^",\[{]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"?+[^",\[{]*+)*+[,\[{])'
    rf"{{{MAX_VALUES + 1}}}+",
    re.DOTALL,
)
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMessage:
    """One call of one task, as it travels."""

    task_id: str
    task_name: str  # the route's name, never a path to import
    args: list[Any]
    kwargs: dict[str, Any]
    enqueued_at: datetime  # aware

    def encode(self) -> bytes:
        """The message as UTF-8 JSON. Raise InvalidMessage if it could not be read again."""
        try:
            document = {
                "v": VERSION,
                "task_id": self.task_id,
                "task_name": self.task_name,
                "args": self.args,
                "kwargs": self.kwargs,
                "enqueued_at": self.enqueued_at.astimezone(UTC).isoformat(),
            }
            data = _ENCODER.encode(document).encode()
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidMessage(str(error)) from error
        if len(data) <= MAX_VALUES and self._is_plain():
            return data
        if self.decode(data) != self:
            raise InvalidMessage(
                "JSON would change an argument: keys are strings, there are no tuples"
            )
        return data

    def _is_plain(self) -> bool:
        """Whether JSON of few values gives it back as it is: it has JSON's own types alone."""
        return (
            type(self.enqueued_at) is datetime
            and self.enqueued_at.tzinfo is UTC
            and _fits(self.task_id, IDENTIFIER)
            and _fits(self.task_name, TASK_NAME)
            and type(self.args) is list
            and type(self.kwargs) is dict
            and _is_plain_tree([self.args, self.kwargs])
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The message of these bytes.

        Raise InvalidMessage if it is malformed, TaskNotFound if its version is a newer one.
        """
        return cls._read(_object(load_json(data), "message"))

    @classmethod
    def _read(cls, document: dict[str, Any]) -> Self:
        version = document.get("v")
        if not _is_int(version) or version < 1:
            raise InvalidMessage("'v' is not a version number")
        if version > VERSION:
            raise TaskNotFound(f"message version {version} is newer than {VERSION}")
        args, kwargs = document.get("args"), document.get("kwargs")
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise InvalidMessage("'args' is not a list or 'kwargs' not an object")
        return cls(
            task_id=_text(document, "task_id", IDENTIFIER),
            task_name=_text(document, "task_name", TASK_NAME),
            args=args,
            kwargs=kwargs,
            enqueued_at=_timestamp(document.get("enqueued_at")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PushEnvelope:
    """The body of a push request.

    https://cloud.google.com/pubsub/docs/push#receive_push
    """

    data: bytes
    attributes: dict[str, str] = field(default_factory=dict)
    message_id: str
    subscription: str  # projects/PROJECT/subscriptions/NAME
    delivery_attempt: int | None = None  # only with a dead-letter policy

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The envelope of a request's body. Raise InvalidMessage if it is not one."""
        document = _object(load_json(body), "body")
        message = _object(document.get("message"), "'message'")
        return cls(
            data=_base64(message.get("data")),
            attributes=_attributes(message.get("attributes")),
            message_id=_message_id(message),
            subscription=_text(document, "subscription", PUBSUB_NAME),
            delivery_attempt=_attempt(document.get("deliveryAttempt")),
        )


def make_attributes(message: TaskMessage, data: bytes, key: str) -> dict[str, str]:
    """The attributes that travel beside the data, the signature among them."""
    task_id, task_name = message.task_id, message.task_name
    signature = _sign(key, task_id=task_id, task_name=task_name, data=data)
    return {"task_id": task_id, "task_name": task_name, "signature": signature}


def is_signed(message: TaskMessage, envelope: PushEnvelope, keys: Iterable[str]) -> bool:
    """Whether one of the keys signed this message, as it stands in this envelope."""
    made = (make_attributes(message, envelope.data, key) for key in keys)
    return any(_same(attributes, envelope.attributes) for attributes in made)


def _same(expected: dict[str, str], found: dict[str, str]) -> bool:
    # One comparison of all three: how long it takes does not tell where they differ. What is
    # expected has no line break, and so none that is found can pass as part of another.
    one, other = (
        "\n".join([each.get(name, "") for name in expected]) for each in (expected, found)
    )
    return constant_time_compare(one, other)


def _sign(key: str, *, task_id: str, task_name: str, data: bytes) -> str:
    """Hexadecimal HMAC-SHA256 over version, id, name and data."""
    version, identifier, name = (
        str(SIGNATURE_VERSION).encode(),
        task_id.encode(),
        task_name.encode(),
    )
    parts = (len(version), version, len(identifier), identifier, len(name), name, len(data), data)
    signature = _keyed(key).copy()
    # The lengths keep one field from passing as part of the next.
    signature.update(b"%d:%b,%d:%b,%d:%b,%d:%b," % parts)
    return signature.hexdigest()


@functools.lru_cache(maxsize=16)
def _keyed(key: str) -> hmac.HMAC:
    """An HMAC of nothing yet: to derive its key takes longer than to sign."""
    return salted_hmac("asgi_tasks.messages", b"", secret=key, algorithm="sha256")


def load_json(data: bytes) -> Any:
    """What strict JSON says. Raise InvalidMessage.

    Strict: UTF-8, no NaN or infinity, no key twice, no lone surrogate, and within MAX_DEPTH and
    MAX_VALUES.
    """
    try:
        text = data.decode()
        if len(text) > MAX_VALUES and TOO_MANY_VALUES.match(text):
            raise ValueError(f"more than {MAX_VALUES:,} values")
        value = _DECODER.decode(text)
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(value)
        if ESCAPED_SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # raises unless they come in pairs
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(f"not the JSON expected: {error}") from error
    return value


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
    if level:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _is_plain_tree(level: list[Any]) -> bool:
    """Whether there is nothing but JSON's own types in these, and not too deep."""
    for _ in range(MAX_DEPTH - 1):  # the message is an object around them
        below = []
        for node in level:
            if type(node) is dict and any(type(key) is not str for key in node):
                return False
            for child in node.values() if type(node) is dict else node:
                if type(child) is dict or type(child) is list:
                    below.append(child)
                elif type(child) not in _SCALARS:
                    return False
        if not below:
            return True
        level = below
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return document


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_SCALARS = frozenset({str, int, float, bool, type(None)})
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant
)


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidMessage(f"{what} is not an object")
    return value


def _text(document: dict[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = document.get(key)
    if not _fits(value, pattern):
        raise InvalidMessage(f"{key!r} is missing or malformed")
    return value


def _fits(value: Any, pattern: re.Pattern[str]) -> TypeGuard[str]:
    return type(value) is str and pattern.fullmatch(value) is not None


def _timestamp(value: Any) -> datetime:
    try:
        timestamp = datetime.fromisoformat(value)
        timestamp.astimezone(UTC)  # near the years 1 and 9999 there is none
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidMessage("'enqueued_at' is not a date and time") from error
    if timestamp.tzinfo is None:
        raise InvalidMessage("'enqueued_at' has no time zone")
    return timestamp


def _base64(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise InvalidMessage("'data' is missing or not base64") from error


def _attributes(value: Any) -> dict[str, str]:
    attributes = {} if value is None else _object(value, "'attributes'")
    if len(attributes) > MAX_ATTRIBUTES:
        raise InvalidMessage("too many attributes")
    if not all(isinstance(text, str) for text in attributes.values()):
        raise InvalidMessage("an attribute is not a string")
    return attributes


def _message_id(message: dict[str, Any]) -> str:
    # Pub/Sub writes both spellings.
    message_id = _text(message, "messageId", IDENTIFIER)
    if message.get("message_id", message_id) != message_id:
        raise InvalidMessage("'messageId' and 'message_id' differ")
    return message_id


def _attempt(value: Any) -> int | None:
    return value if _is_int(value) and 1 <= value <= 10_000 else None


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
