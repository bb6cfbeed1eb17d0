"""What is to be published on one event loop: joined, tried again, confirmed."""

import asyncio
import contextlib
import inspect
import io
import os
import random
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Iterator
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from .failures import Failure, GivenUp, NoToken, PublishError, explain

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

# One request carries at most this; Pub/Sub's own limits are 1,000 messages and 10 MB.
MAX_BATCH_MESSAGES = 500
MAX_BATCH_BYTES = 9_000_000
# More requests for one topic wait and join, so that a burst costs a few requests, not hundreds.
MAX_REQUESTS = 4
SCOPE = "https://www.googleapis.com/auth/pubsub"
# aiohttp sends a file in pieces, and warns of more than 1 MiB that is not one.
LARGE_BODY = 1_000_000
TOKEN_TIMEOUT = 3  # seconds; as google-auth waits for the metadata server


@dataclass(slots=True, kw_only=True)
class _Pending:
    data: bytes
    attributes: dict[str, str]
    deadline: float  # by the loop's clock
    confirmed: asyncio.Future[str]
    maybe_published: bool = False
    failure: Failure | None = None  # of the last attempt

    def fail(self) -> None:
        if not self.confirmed.done():
            self.confirmed.set_exception(self.error())

    def error(self) -> PublishError:
        reason, cause = self.failure[:2] if self.failure else ("no answer in time", None)
        error = PublishError(reason, maybe_published=self.maybe_published)
        error.__cause__ = cause
        return error


@dataclass(slots=True)
class _Topic:
    waiting: deque[_Pending] = field(default_factory=deque)
    requests: int = 0  # under way


class Publisher:
    """Publishes on the event loop it was made on."""

    def __init__(self) -> None:
        from aiohttp import ClientSession, TraceConfig
        from gcloud.aio.auth import Token
        from gcloud.aio.pubsub import PublisherClient

        self._loop = asyncio.get_running_loop()
        self._token = Token(scopes=[SCOPE])  # first: if it raises, nothing is left open
        # Once, not five times: _send() tries again, and stops at what is final.
        fetch = partial(inspect.unwrap(Token.acquire_access_token), self._token, TOKEN_TIMEOUT)
        self._token.acquire_access_token = fetch  # type: ignore[assignment]
        sending = TraceConfig()
        sending.on_request_headers_sent.append(_note_sending)
        self._session = ClientSession(trace_configs=[sending])
        self._client = PublisherClient(session=self._session, token=self._token)  # type: ignore[arg-type]
        self._topics: defaultdict[str, _Topic] = defaultdict(_Topic)
        self._sending: set[asyncio.Task[None]] = set()
        self._closing = self._close_at_end()

    async def publish(
        self, topic: str, data: bytes, attributes: dict[str, str], *, budget: float
    ) -> str:
        """See publish() of this module."""
        pending = _Pending(
            data=data,
            attributes=attributes,
            deadline=self._loop.time() + budget,
            confirmed=self._loop.create_future(),
        )
        self._topics[topic].waiting.append(pending)
        # Soon, not now: whatever else this turn of the loop publishes joins the request.
        # In no context: the connection is not of the task that happens to open it.
        self._loop.call_soon(self._send_waiting, topic, context=Context())
        try:
            async with asyncio.timeout_at(pending.deadline):
                return await pending.confirmed
        except TimeoutError as timeout:
            error = pending.error()
            raise error from error.__cause__ or timeout

    async def close_with_loop(self) -> None:
        """Have the client closed when its loop ends."""
        await anext(self._closing)

    async def _close_at_end(self) -> AsyncGenerator[None]:
        # A suspended generator is finalised by loop.shutdown_asyncgens(), which asyncio.run()
        # and Runner call before they close a loop: the one hook that every loop offers.
        try:
            yield
        finally:
            publishers.pop(self._loop, None)
            await self._session.close()
            await self._token.close()

    def _send_waiting(self, name: str) -> None:
        topic = self._topics[name]
        while topic.waiting and topic.requests < MAX_REQUESTS:
            topic.requests += 1
            task = self._loop.create_task(self._send(name, list(_take_batch(topic.waiting))))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, name: str, batch: list[_Pending]) -> None:
        try:
            for pause in _pauses():
                batch = [pending for pending in batch if not pending.confirmed.done()]
                if not batch or await self._attempt(name, batch):
                    return
                # Shorter towards the end, so that a fault which passes is noticed in time.
                await asyncio.sleep(min(pause, max(self._remaining(batch) / 2, 0.05)))
        finally:
            self._topics[name].requests -= 1
            self._send_waiting(name)

    async def _attempt(self, topic: str, batch: list[_Pending]) -> bool:
        """One request. Whether it settled the batch: confirmed it, or failed it for good."""
        was_uncertain = batch[0].maybe_published  # they have been through the same
        try:
            ids = await self._request(topic, batch)
        except Exception as error:
            failure = explain(error, sent=batch[0].maybe_published)
            for pending in batch:
                pending.failure = failure
                pending.maybe_published = was_uncertain or failure.is_uncertain
                if not failure.is_transient:
                    pending.fail()
            return not failure.is_transient
        for pending, message_id in zip(batch, ids, strict=True):
            if not pending.confirmed.done():
                pending.confirmed.set_result(message_id)
        return True

    async def _request(self, topic: str, batch: list[_Pending]) -> list[str]:
        from aiohttp import ClientTimeout
        from gcloud.aio.pubsub import PubsubMessage

        if not os.environ.get("PUBSUB_EMULATOR_HOST"):
            await self._have_token(self._remaining(batch) / 2)
        # Half the budget, so that a request that hangs is tried once more on a new connection.
        seconds = max(self._remaining(batch) / 2, 0.05)
        async with asyncio.timeout(seconds):
            response = await self._client.publish(
                topic,
                [PubsubMessage(pending.data, "", **pending.attributes) for pending in batch],
                session=_Session(self._session, batch),  # type: ignore[arg-type]
                timeout=ClientTimeout(connect=seconds / 2),  # type: ignore[arg-type]
            )
        ids: list[str] = response.get("messageIds", [])
        if len(ids) != len(batch):
            raise ValueError(f"the broker answered {len(ids)} ids for {len(batch)} messages")
        return ids

    async def _have_token(self, seconds: float) -> None:
        # In a task of its own: the requests for other topics may be waiting for the same token.
        fetching = self._loop.create_task(self._token.get())
        fetching.add_done_callback(lambda task: task.cancelled() or task.exception())
        if not (await asyncio.wait([fetching], timeout=seconds))[0]:
            raise NoToken from TimeoutError()
        try:
            fetching.result()
        except Exception as error:
            raise NoToken from error

    def _remaining(self, batch: list[_Pending]) -> float:
        """Seconds until the last deadline."""
        return max(pending.deadline for pending in batch) - self._loop.time()


class _Session:
    """aiohttp's session for one request of gcloud-aio's client."""

    def __init__(self, session: "ClientSession", batch: list[_Pending]) -> None:
        self._session = session
        self._batch = batch

    async def post(self, url: str, *, data: bytes, **options: Any) -> "ClientResponse":
        from aiohttp import ClientResponseError

        with contextlib.suppress(ClientResponseError):  # none was read: it is not of the broker
            return await self._session.post(
                url,
                data=data if len(data) < LARGE_BODY else io.BytesIO(data),
                allow_redirects=False,
                trace_request_ctx=self._batch,
                **options,
            )
        raise ValueError("the answer is not HTTP")


async def _note_sending(session: object, context: Any, params: object) -> None:
    """Called by aiohttp when it is connected and about to write. Raise GivenUp before it does."""
    batch: list[_Pending] = context.trace_request_ctx
    if any(pending.confirmed.done() for pending in batch):
        raise GivenUp  # somebody was told that theirs was not sent
    for pending in batch:
        pending.maybe_published = True


def _take_batch(waiting: deque[_Pending]) -> Iterator[_Pending]:
    room = MAX_BATCH_BYTES
    for _ in range(MAX_BATCH_MESSAGES):
        if not waiting or (len(waiting[0].data) > room and room < MAX_BATCH_BYTES):
            return
        pending = waiting.popleft()
        room -= len(pending.data)
        yield pending


def _pauses() -> Iterator[float]:
    pause = 0.1
    while True:
        yield pause * random.uniform(0.5, 1)  # noqa: S311 - jitter
        pause = min(pause * 2, 2)


async def get_publisher() -> Publisher:
    loop = asyncio.get_running_loop()
    publisher = publishers.get(loop)
    if publisher is None:
        for other in list(publishers):  # a copy: other threads have loops of their own
            if other.is_closed():
                publishers.pop(other, None)
        publisher = publishers[loop] = Publisher()
        await publisher.close_with_loop()
    return publisher


publishers: dict[asyncio.AbstractEventLoop, Publisher] = {}
