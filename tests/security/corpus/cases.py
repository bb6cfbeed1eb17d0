"""A case: a request and the answer designed for it. And how the requests are made."""

import base64
import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

from asgi_tasks.messages import make_attributes
from tests.pushes import KEY

TASK_ID = "0198a3c2-7f11-7000-8000-000000000001"
SECRET = "an argument that no log shows"
DOCUMENT = {
    "v": 1,
    "task_id": TASK_ID,
    "task_name": "note",
    "args": [SECRET],
    "kwargs": {"n": 1},
    "enqueued_at": "2026-01-01T00:00:00+00:00",
}
RAN = ("note", [SECRET], {"n": 1})
MEGABYTE = 1_000_000
MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request, its status, and the calls it makes (none, unless it is acknowledged)."""

    name: str
    status: int
    body: bytes | Callable[[], bytes]
    method: str = "POST"
    headers: Mapping[str, str | list[str] | None] = field(default_factory=dict)
    chunk: int | None = None  # bytes; the body comes in chunks of this size
    ran: tuple = None

    def __post_init__(self):
        if self.ran is None:
            object.__setattr__(self, "ran", (RAN,) if self.status == 204 else ())

    def make_body(self):
        return self.body() if callable(self.body) else self.body


def push(data=None, *, task="note", task_id=TASK_ID, key=KEY):
    """The envelope of these bytes, signed."""
    data = dump(DOCUMENT) if data is None else data
    named = SimpleNamespace(task_id=task_id, task_name=task)
    return {
        "message": {
            "data": base64.b64encode(data).decode(),
            "attributes": make_attributes(named, data, key),
            "messageId": "1234567890",
            "message_id": "1234567890",
            "publishTime": "2026-01-01T00:00:00.123Z",
            "publish_time": "2026-01-01T00:00:00.123Z",
        },
        "subscription": subscription(task),
        "deliveryAttempt": 1,
    }


def subscription(task):
    return f"projects/tests/subscriptions/test-site-{task.replace('_', '-')}-sub"


def dump(document):
    return json.dumps(document).encode()


def body(**changes):
    """The body of the good push with other fields in its message; a text value is also signed."""
    document = {k: v for k, v in (DOCUMENT | changes).items() if v is not MISSING}
    names = {"task": document.get("task_name"), "task_id": document.get("task_id")}
    return dump(push(dump(document), **{k: v for k, v in names.items() if isinstance(v, str)}))


def call(task, /, *args, **kwargs):
    return body(task_name=task, args=list(args), kwargs=kwargs)


def changed(path, value):
    """The good push with another value at this dotted path."""
    document = copy.deepcopy(push())
    *parents, last = path.split(".")
    node = document
    for name in parents:
        node = node[name]
    if value is MISSING:
        node.pop(last, None)
    else:
        node[last] = value
    return dump(document)


def added(text, *, to="body"):
    """The good push with a field more, as it is written here: in the body or in the message."""
    if to == "body":
        return dump(push())[:-1] + b"," + text + b"}"
    return dump(push(dump(DOCUMENT)[:-1] + b"," + text + b"}"))


GOOD = dump(push())
