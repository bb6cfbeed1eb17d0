"""Waiting for messages: pulled ones, and a push endpoint for the others."""

import asyncio
import base64
import contextlib
import json
import os
import time
import uuid
from dataclasses import dataclass

from aiohttp import web
from google.api_core import exceptions, retry

from .endpoint import PUSH_PORT

PATIENCE = 60  # seconds; a pull may come back empty and a push late, with Google more than once
MAX_BODY_BYTES = 20_000_000

# docs: reference/error-codes "the propagation of an object creation may take a few seconds"
until_found = retry.Retry(
    predicate=retry.if_exception_type(exceptions.NotFound), initial=0.2, timeout=PATIENCE
)


def pulled(subscriber, subscription, count=1):
    """Messages by the sync client, once there are so many."""
    received = {}
    pull = until_found(subscriber.pull)
    until = time.monotonic() + PATIENCE
    while len(received) < count:
        assert time.monotonic() < until, f"{len(received)} of {count} messages"
        response = pull(subscription=subscription, max_messages=100)
        received |= {one.message.message_id: one for one in response.received_messages}
    return list(received.values())


async def async_pulled(subscriber, subscription, count=1):
    """The same by Google's async client, or by gcloud-aio's."""
    received = []
    async with asyncio.timeout(PATIENCE):
        while len(received) < count:
            response = await subscriber.pull(subscription=subscription, max_messages=100)
            received += response if isinstance(response, list) else response.received_messages
    return received


@dataclass
class Push:
    headers: dict
    body: dict
    at: float

    @property
    def message(self):
        return self.body["message"]

    @property
    def data(self):
        return base64.b64decode(self.message["data"])

    @property
    def token(self):
        scheme, _, token = self.headers["Authorization"].partition(" ")
        assert scheme == "Bearer"
        return token

    @property
    def claims(self):
        return token_part(self.token, 1)


def token_part(token, index):
    part = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Sink:
    """A push endpoint that answers what the test tells it to."""

    def __init__(self):
        self.path = f"/{uuid.uuid4().hex}"
        self.pushes = []
        self.answers = []  # used up first; then 204
        self.held = asyncio.Event()  # a push is answered while this is set
        self.held.set()
        self._arrived = asyncio.Event()

    async def handle(self, request):
        headers = {name.title(): value for name, value in request.headers.items()}
        self.pushes.append(Push(headers, await request.json(), time.monotonic()))
        self._arrived.set()
        await self.held.wait()
        status = self.answers.pop(0) if self.answers else 204
        return web.Response(status=status, headers={"Location": self.url} if status == 302 else {})

    async def received(self, count=1):
        async with asyncio.timeout(PATIENCE):
            while len(self.pushes) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.pushes


@contextlib.asynccontextmanager
async def serving_sink(endpoint):
    sink = Sink()
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post(sink.path, sink.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", PUSH_PORT if endpoint.is_google else 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        if endpoint.is_google:
            base = os.environ.get("PUBSUB_CONFORMANCE_PUSH_URL", base).rstrip("/")
        sink.url = base + sink.path
        yield sink
    finally:
        await runner.cleanup()
