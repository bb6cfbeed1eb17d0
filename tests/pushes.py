"""Push requests as Pub/Sub makes them."""

import asyncio
import base64
import json
import uuid
from datetime import UTC, datetime

import aiohttp

from asgi_tasks.messages import TaskMessage, make_attributes

KEY = "tests-only"  # SECRET_KEY of tests.site


def make_message(task, *args, **kwargs):
    return TaskMessage(
        task_id=str(uuid.uuid4()),
        task_name=task,
        args=list(args),
        kwargs=kwargs,
        enqueued_at=datetime.now(UTC),
    )


def make_body(message, *, attempt=1, key=KEY, subscription=None, **changes):
    """The body of a push of this message; `changes` replace fields of its "message"."""
    data = message.encode()
    slug = message.task_name.replace("_", "-")
    document = {
        "message": {
            "data": base64.b64encode(data).decode(),
            "attributes": make_attributes(message, data, key),
            "messageId": "1234567890",
            "message_id": "1234567890",
            "publishTime": "2026-01-01T00:00:00.123Z",
            "publish_time": "2026-01-01T00:00:00.123Z",
        }
        | changes,
        "subscription": subscription or f"projects/tests/subscriptions/test-site-{slug}-sub",
        "deliveryAttempt": attempt,
    }
    document["message"] = {k: v for k, v in document["message"].items() if v is not None}
    return json.dumps(document).encode()


def push_body(task, *args, **kwargs):
    """The body of a push of a new message for a task of tests.site."""
    return make_body(make_message(task, *args, **kwargs))


async def push(site, body, authorization, *, method="POST", path="/tasks/pubsub/", session=None):
    """The status of one push, whose response has to be empty."""
    headers = {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    if session is None:
        async with aiohttp.ClientSession() as session:
            return await push(site, body, authorization, method=method, path=path, session=session)
    async with session.request(method, site.url + path, data=body, headers=headers) as response:
        assert await response.read() == b""
        return response.status


async def push_all(site, bodies, authorization, **options):
    """The statuses of pushes sent at once."""
    async with many_connections() as session:
        pushes = [push(site, body, authorization, session=session, **options) for body in bodies]
        return await asyncio.gather(*pushes)


def many_connections():
    """A session that opens as many as there are requests."""
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120))
