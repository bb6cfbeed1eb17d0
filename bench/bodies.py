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
    # Later: the settings of the measured site are to load nothing of this.
    from tests.pushes import make_body, make_message

    have_settings()
    subscription = f"projects/{PROJECT}/subscriptions/dev-tasks-{task.replace('_', '-')}-sub"
    return make_body(make_message(task, *args), key=KEY, subscription=subscription)


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
    document = {
        "message": {
            "data": base64.b64encode(json.dumps(payload).encode()).decode(),
            "messageId": "1234567890",
            "publishTime": "2026-01-01T00:00:00.123Z",
        },
        "subscription": f"projects/{PROJECT}/subscriptions/tasks-sub",
    }
    return json.dumps(document).encode()


@functools.cache
def have_settings():
    from django.conf import settings

    if not settings.configured:
        settings.configure(SECRET_KEY=KEY)
