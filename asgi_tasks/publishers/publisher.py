"""What is to be published on one event loop: joined, tried again, confirmed."""

import asyncio
import contextlib
import inspect
import io
import os
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from asgi_tasks import eager

from .failures import Failure, GivenUp, NoToken, PublishError, explain
from .pending import STOPPED, Deadlines, Pending, seconds_left, still_waited_for

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

# Pub/Sub's limits of a request; the bytes are those of its body, JSON with the data in base64.
MAX_BATCH_MESSAGES = 1_000
MAX_BATCH_BYTES = 10_000_000
# A topic has one request at a time, and the rest joins the next: two or four carried no more from
# 500 callers. Neither what fills a request waits, nor what comes when the one under way is slow.
SLOW = 1  # seconds; it may hang
MAX_TOPIC_REQUESTS = 4
MAX_REQUESTS = 32  # of all topics, which take turns
MAX_APART = 8  # more, for the halves of what was refused for one of its messages
SHORTEST = 0.05  # seconds; less is no pause, and no time to be answered in
SCOPE = "https://www.googleapis.com/auth/pubsub"
NO_TIME_APART = "of this message or of one sent with it, and no time was left to send it alone"
# aiohttp sends a file in pieces, and warns of more than 1 MiB that is not one.
LARGE_BODY = 1_000_000
TOKEN_TIMEOUT = 3  # seconds; as google-auth waits for the metadata server


@dataclass(slots=True, eq=False)
class _Topic:
    name: str
    waiting: deque[Pending] = field(default_factory=deque)
    requests: int = 0  # under way
    began: float = 0  # the last of them, by time.monotonic()

    @property
    def may_send(self) -> bool:
        if not self.waiting or self.requests >= MAX_TOPIC_REQUESTS:
            return False
        if not self.requests:
            return True
        return len(self.waiting) >= MAX_BATCH_MESSAGES or time.monotonic() > self.began + SLOW


class Publisher:
    """Publishes on the event loop it was made on."""

    def __init__(self) -> None:
        from aiohttp import ClientSession, ClientTimeout, TraceConfig
        from gcloud.aio.auth import Token
        from gcloud.aio.pubsub import PublisherClient, PubsubMessage

        self._make_message, self._make_timeout = PubsubMessage, ClientTimeout
        self._loop = asyncio.get_running_loop()
        self._token = Token(scopes=[SCOPE])  # first: if it raises, nothing is left open
        # Once, not five times: _send() tries again, and stops at what is final.
        fetch = partial(inspect.unwrap(Token.acquire_access_token), self._token, TOKEN_TIMEOUT)
        self._token.acquire_access_token = fetch  # type: ignore[assignment]
        sending = TraceConfig()
        sending.on_request_headers_sent.append(_note_sending)
        self._session = ClientSession(trace_configs=[sending])
        self._client = PublisherClient(session=self._session, token=self._token)  # type: ignore[arg-type]
        self._deadlines = Deadlines(self._loop)
        self._topics: dict[str, _Topic] = {}
        self._ready: dict[_Topic, None] = {}  # those with messages, and room for a request
        self._is_starting = False
        self._apart = asyncio.Semaphore(MAX_APART)
        self._sending: set[asyncio.Task[None]] = set()
        self._closing = self._close_at_end()

    def submit(self, topic: str, pending: Pending) -> None:
        """Have the message published, and its `confirmed` told. On the loop's thread."""
        found = self._topics.get(topic)
        if found is None:
            found = self._topics[topic] = _Topic(topic)
        found.waiting.append(pending)
        self._deadlines.watch(pending)
        self._start_soon(found)

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
            for topic in self._topics.values():
                for pending in topic.waiting:
                    pending.fail(STOPPED)
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            await self._session.close()
            await self._token.close()

    def _start_soon(self, topic: _Topic) -> None:
        # Soon, not now: whatever else this turn of the loop publishes joins the request.
        # In no context: the connection is not of the task that happens to open it.
        if topic.may_send:
            self._ready[topic] = None
        if self._ready and not self._is_starting:
            self._is_starting = True
            self._loop.call_soon(self._start, context=Context())

    def _start(self) -> None:
        self._is_starting = False
        while self._ready and len(self._sending) < MAX_REQUESTS:
            topic = next(iter(self._ready))
            del self._ready[topic]
            self._start_request(topic, _take_batch(topic.waiting))
            if topic.may_send:
                self._ready[topic] = None  # behind the others

    def _start_request(self, topic: _Topic, batch: list[Pending]) -> None:
        topic.requests, topic.began = topic.requests + 1, time.monotonic()
        task = eager.start(self._send(topic, batch))
        # One that hangs keeps the rest waiting no longer than this.
        slow = self._loop.call_later(SLOW * 1.01, self._start_soon, topic, context=Context())
        self._sending.add(task)
        task.add_done_callback(partial(self._end_request, topic, batch, slow))

    def _end_request(
        self,
        topic: _Topic,
        batch: list[Pending],
        slow: asyncio.TimerHandle,
        task: asyncio.Task[None],
    ) -> None:
        slow.cancel()
        self._sending.discard(task)
        topic.requests -= 1
        for pending in batch:  # nobody waits in vain
            pending.fail(STOPPED if task.cancelled() else "")
        if not task.cancelled():  # as the end of the loop does
            self._start_soon(topic)

    async def _send(self, topic: _Topic, batch: list[Pending]) -> None:
        if halves := await self._settle(topic.name, batch):
            await asyncio.gather(*(self._send_apart(topic, half) for half in halves))

    async def _send_apart(self, topic: _Topic, half: list[Pending]) -> None:
        async with self._apart:
            halves = await self._settle(topic.name, half)
        await asyncio.gather(*(self._send_apart(topic, each) for each in halves))

    async def _settle(self, topic: str, batch: list[Pending]) -> list[list[Pending]]:
        """Confirm or fail them all. Return the halves of what was refused for one of them."""
        pauses = _pauses()
        while batch := still_waited_for(batch):
            failure = await self._attempt(topic, batch)
            if failure is None:
                break
            if not failure.is_transient:
                return _refuse(batch, failure)
            # Shorter towards the end, so that a fault which passes is noticed in time; but no last
            # attempt that the end would catch under way, and leave in doubt.
            left = seconds_left(batch)
            pause = min(next(pauses), max(left / 2, SHORTEST))
            if left < pause + SHORTEST:
                break
            await asyncio.sleep(pause)
        return []

    async def _attempt(self, topic: str, batch: list[Pending]) -> Failure | None:
        """One request: confirm the batch, or note why not."""
        was_uncertain = batch[0].maybe_published  # they have been through the same
        try:
            ids = await self._request(topic, batch)
        except Exception as error:
            failure = explain(error, sent=batch[0].maybe_published)
            for pending in batch:
                pending.failure = failure
                pending.maybe_published = was_uncertain or failure.is_uncertain
            return failure
        for pending, message_id in zip(batch, ids, strict=True):
            pending.confirm(message_id)
        return None

    async def _request(self, topic: str, batch: list[Pending]) -> list[str]:
        if not os.environ.get("PUBSUB_EMULATOR_HOST"):
            await self._have_token(seconds_left(batch) / 2)
        # Half the budget, so that a request that hangs is tried once more on a new connection.
        seconds = max(seconds_left(batch) / 2, SHORTEST)
        response = await self._client.publish(
            topic,
            [self._make_message(each.data, "", **each.attributes) for each in batch],
            session=_Session(self._session, batch),  # type: ignore[arg-type]
            timeout=self._make_timeout(total=seconds, connect=seconds / 2),  # type: ignore[arg-type]
        )
        ids: list[str] = response.get("messageIds", [])
        if len(ids) != len(batch):
            raise ValueError(f"the broker answered {len(ids)} ids for {len(batch)} messages")
        return ids

    async def _have_token(self, seconds: float) -> None:
        # In a task of its own: the requests for other topics may be waiting for the same token.
        fetching = eager.start(self._token.get())
        if not fetching.done():
            fetching.add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.wait([fetching], timeout=seconds)
        if not fetching.done():
            raise NoToken from TimeoutError()
        try:
            fetching.result()
        except Exception as error:
            raise NoToken from error


class _Session:
    """aiohttp's session for one request of gcloud-aio's client."""

    def __init__(self, session: "ClientSession", batch: list[Pending]) -> None:
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
    batch: list[Pending] = context.trace_request_ctx
    if any(pending.confirmed.done() for pending in batch):
        raise GivenUp  # somebody was told that theirs was not sent
    for pending in batch:
        pending.maybe_published = True


def _take_batch(waiting: deque[Pending]) -> list[Pending]:
    """The first that fit into a request."""
    batch: list[Pending] = []
    room = MAX_BATCH_BYTES
    while waiting and len(batch) < MAX_BATCH_MESSAGES:
        size = waiting[0].size
        if batch and size > room:
            break
        room -= size
        batch.append(waiting.popleft())
    return batch


def _refuse(batch: list[Pending], failure: Failure) -> list[list[Pending]]:
    """Fail the one that is refused; of more, any may be to blame: return the halves."""
    if len(batch) > 1 and failure.may_be_of_one:
        for pending in batch:
            pending.failure = failure._replace(reason=f"{failure.reason}: {NO_TIME_APART}")
        middle = len(batch) // 2
        return [batch[middle:], batch[:middle]]
    for pending in batch:
        pending.fail()
    return []


def _pauses() -> Iterator[float]:
    pause = 0.1
    while True:
        yield pause * random.uniform(0.5, 1)  # noqa: S311 - jitter
        pause = min(pause * 2, 2)


async def make_publisher(loop: asyncio.AbstractEventLoop) -> Publisher:
    """That of the running loop. Raise PublishError where there are no credentials."""
    for other in list(publishers):  # a copy: other threads have loops of their own
        if other.is_closed():
            publishers.pop(other, None)
    try:
        publisher = publishers[loop] = Publisher()
    except Exception as error:
        reason = f"a publisher cannot be made with these credentials: {error!r}"
        raise PublishError(reason, maybe_published=False) from error
    await publisher.close_with_loop()
    return publisher


publishers: dict[asyncio.AbstractEventLoop, Publisher] = {}
