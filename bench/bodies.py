"""The bodies of pushes, to us and to the peers."""

import base64
import functools
import json
import uuid
from datetime import UTC, datetime

PROJECT = "bench"
KEY = "bench-only"  # SECRET_KEY of bench.site


def ours(number, *, task, args=()):
    """A push of a new message for a task of bench.site, signed."""
    message, data = _message(task, args)
    name = task.replace("_", "-")
    return _push(data, f"dev-tasks-{name}-sub", _attributes(message, data))


def of_many(number, *, routes):
    """To each of bench.site.many's tasks in turn."""
    return ours(number, task=f"nothing_{number % routes}")


def sized(number, *, shape, size):
    """With arguments of so many bytes."""
    return ours(number, task="take", args=[ARGUMENTS[shape](size)])


def text(size):
    return "x" * size


def rows(size):
    """As a query gives them: a hundred bytes each."""
    row = {"id": 100_000, "name": "Somebody", "is_active": True, "note": "x" * 40}
    return [row] * max(1, size // 100)


ARGUMENTS = {"text": text, "rows": rows}


def pubsub(number, *, task, args=()):
    """The same for django-tasks-pubsub and bench.peer."""
    payload = {
        "task": {
            "backend": "default",
            "module_path": f"bench.peer.tasks.{task}",
            "name": task,
            "priority": 0,
            "queue_name": "default",
            "takes_context": False,
        },
        "task_id": uuid.uuid4().hex,
        "enqueued_at": datetime.now(UTC).isoformat(),
        "args": list(args),
        "kwargs": {},
    }
    return _push(json.dumps(payload).encode(), "tasks-sub", {})


def _message(task, args):
    from asgi_tasks.messages import TaskMessage

    message = TaskMessage(
        task_id=str(uuid.uuid4()),
        task_name=task,
        args=list(args),
        kwargs={},
        enqueued_at=datetime.now(UTC),
    )
    return message, message.encode()


def _attributes(message, data):
    from asgi_tasks.messages import make_attributes

    have_settings()
    return make_attributes(message, data, KEY)


@functools.cache
def have_settings():
    from django.conf import settings

    if not settings.configured:
        settings.configure(SECRET_KEY=KEY)


def _push(data, subscription, attributes):
    document = {
        "message": {
            "data": base64.b64encode(data).decode(),
            "attributes": attributes,
            "messageId": "12345678901234567",
            "message_id": "12345678901234567",
            "publishTime": "2026-01-01T00:00:00.123Z",
            "publish_time": "2026-01-01T00:00:00.123Z",
        },
        "subscription": f"projects/{PROJECT}/subscriptions/{subscription}",
        "deliveryAttempt": 1,
    }
    return json.dumps(document).encode()
