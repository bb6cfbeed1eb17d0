"""One publisher an event loop: awaited there, or from sync code through a loop in a thread.

A publisher joins what waits for the same topic into one request and retries what is transient
until the budget of each message is spent. gcloud-aio is imported at the first enqueue: a web
process that never publishes does not pay for it.
"""

import asyncio
import atexit
import contextlib
import os
import random
import threading
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Coroutine, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# One request carries at most this; Pub/Sub's own limits are 1,000 messages and 10 MB.
MAX_BATCH_MESSAGES = 500
MAX_BATCH_BYTES = 9_000_000
# More requests for one topic wait and join, so that a burst costs a few requests, not hundreds.
MAX_REQUESTS = 4
SCOPE = "https://www.googleapis.com/auth/pubsub"


class PublishError(Exception):
    """The broker did not confirm the message.

    ``maybe_published`` (bool) tells whether it may have accepted it all the same.
    """

    def __init__(self, message: str, *, maybe_published: bool) -> None:
        super().__init__(message)
        self.maybe_published = maybe_published


async def publish(topic: str, data: bytes, attributes: dict[str, str], *, budget: float) -> str:
    """Publish a message and return its id once the broker gave one.

    ``topic`` is a full resource name, ``budget`` the whole time for it in seconds.
    Raise PublishError.
    """
    try:
        publisher = await _get_publisher()
    except Exception as error:
        reason = f"a publisher cannot be made with these credentials: {error!r}"
        raise PublishError(reason, maybe_published=False) from error
    return await publisher.publish(topic, data, attributes, budget=budget)


def publish_from_thread(
    topic: str, data: bytes, attributes: dict[str, str], *, budget: float
) -> str:
    """See publish(). Blocks the calling thread, which runs no event loop."""
    return _background.run(publish(topic, data, attributes, budget=budget))


@dataclass(slots=True, kw_only=True)
class _Pending:
    data: bytes
    attributes: dict[str, str]
    deadline: float  # by the loop's clock
    confirmed: asyncio.Future[str]
    maybe_published: bool = False
    cause: BaseException | None = None

    def fail(self) -> None:
        if not self.confirmed.done():
            self.confirmed.set_exception(self.error())

    def error(self) -> PublishError:
        reason = str(self.cause) or type(self.cause).__name__
        error = PublishError(reason, maybe_published=self.maybe_published)
        error.__cause__ = self.cause
        return error


@dataclass(slots=True)
class _Topic:
    waiting: deque[_Pending] = field(default_factory=deque)
    requests: int = 0  # under way


class Publisher:
    """Publishes on the event loop it was made on."""

    def __init__(self) -> None:
        from aiohttp import ClientSession
        from gcloud.aio.auth import Token
        from gcloud.aio.pubsub import PublisherClient

        self._loop = asyncio.get_running_loop()
        self._token = Token(scopes=[SCOPE])  # first: if it raises, nothing is left open
        self._session = ClientSession()
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
        self._loop.call_soon(self._send_waiting, topic)
        try:
            async with asyncio.timeout_at(pending.deadline):
                return await pending.confirmed
        except TimeoutError as error:
            pending.cause = pending.cause or error
            raise pending.error() from pending.cause

    async def close_with_loop(self) -> None:
        """Have the client closed when its loop ends."""
        await anext(self._closing)

    async def _close_at_end(self) -> AsyncGenerator[None]:
        # A suspended generator is finalised by loop.shutdown_asyncgens(), which asyncio.run()
        # and Runner call before they close a loop: the one hook that every loop offers.
        try:
            yield
        finally:
            _publishers.pop(self._loop, None)
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
                await asyncio.sleep(pause)
        finally:
            self._topics[name].requests -= 1
            self._send_waiting(name)

    async def _attempt(self, topic: str, batch: list[_Pending]) -> bool:
        """One request. Whether it settled the batch: confirmed it, or failed it for good."""
        uncertain = [pending.maybe_published for pending in batch]
        try:
            ids = await self._request(topic, batch)
        except Exception as error:
            verdict = _classify(error, sent=batch[0].maybe_published)
            for pending, was_uncertain in zip(batch, uncertain, strict=True):
                pending.cause = error
                pending.maybe_published = was_uncertain or verdict.is_uncertain
                if not verdict.is_transient:
                    pending.fail()
            return not verdict.is_transient
        for pending, message_id in zip(batch, ids, strict=True):
            if not pending.confirmed.done():
                pending.confirmed.set_result(message_id)
        return True

    async def _request(self, topic: str, batch: list[_Pending]) -> list[str]:
        from aiohttp import ClientTimeout
        from gcloud.aio.pubsub import PubsubMessage

        remaining = max(pending.deadline for pending in batch) - self._loop.time()
        # Half the budget, so that a request that hangs is tried once more on a new connection.
        seconds = max(remaining / 2, 0.05)
        limits = ClientTimeout(total=seconds, sock_connect=seconds / 2)
        async with asyncio.timeout(seconds):
            if not os.environ.get("PUBSUB_EMULATOR_HOST"):
                # Shielded: the requests for other topics may be waiting for the same token.
                await asyncio.shield(self._token.get())
            for pending in batch:
                pending.maybe_published = True
            response = await self._client.publish(
                topic,
                [PubsubMessage(pending.data, "", **pending.attributes) for pending in batch],
                timeout=limits,  # type: ignore[arg-type]  # handed on to aiohttp as it is
            )
        ids: list[str] = response.get("messageIds", [])
        if len(ids) != len(batch):
            raise ValueError(f"the broker answered {len(ids)} ids for {len(batch)} messages")
        return ids


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


# Timed out, aborted, cancelled: of the 4xx these may pass.
_RETRIED = (408, 409, 499)


class _Verdict(NamedTuple):
    is_transient: bool  # worth another try
    is_uncertain: bool  # the broker may have the message


def _classify(error: Exception, *, sent: bool) -> _Verdict:
    """What a failed request means.

    https://cloud.google.com/pubsub/docs/reference/error-codes
    """
    from aiohttp import (
        ClientConnectorError,
        ClientError,
        ClientResponseError,
        ConnectionTimeoutError,
    )

    match error:
        case ClientConnectorError() | ConnectionTimeoutError():
            return _Verdict(is_transient=True, is_uncertain=False)
        case ClientResponseError(status=429):
            return _Verdict(is_transient=True, is_uncertain=False)
        case ClientResponseError(status=status) if 400 <= status < 500 and status not in _RETRIED:
            return _Verdict(is_transient=False, is_uncertain=False)
        case ClientError() | OSError() | ValueError():  # TimeoutError is an OSError
            is_transient = sent or not isinstance(error, ValueError)
            return _Verdict(is_transient=is_transient, is_uncertain=sent)
        case _:
            return _Verdict(is_transient=False, is_uncertain=sent)


async def _get_publisher() -> Publisher:
    loop = asyncio.get_running_loop()
    publisher = _publishers.get(loop)
    if publisher is None:
        for other in list(_publishers):  # a copy: other threads have loops of their own
            if other.is_closed():
                _publishers.pop(other, None)
        publisher = _publishers[loop] = Publisher()
        await publisher.close_with_loop()
    return publisher


class _BackgroundLoop:
    """An event loop in a thread of its own, started by the first sync enqueue."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._runner: asyncio.Runner | None = None
        self._thread: threading.Thread | None = None
        self._stopped: asyncio.Event

    def run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._get_loop())
        except RuntimeError as error:  # no thread starts while the interpreter shuts down
            coroutine.close()
            raise PublishError(str(error), maybe_published=False) from error
        try:
            return future.result()
        except CancelledError as error:
            raise PublishError("the publisher was stopped", maybe_published=True) from error

    def stop(self) -> None:
        """End the loop, which closes its publisher."""
        with self._starting:
            if self._thread is not None and self._runner is not None:
                self._runner.get_loop().call_soon_threadsafe(self._stopped.set)
                self._thread.join(timeout=2)
                self._thread = self._runner = None

    def _get_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._runner is None:
                self._start()
            if self._runner is None:
                raise RuntimeError("the publisher's event loop did not start")
            return self._runner.get_loop()

    def _start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(ready,), name="asgi_tasks-publisher", daemon=True
        )
        self._thread.start()
        ready.wait()

    def _serve(self, ready: threading.Event) -> None:
        async def serve() -> None:
            ready.set()
            await self._stopped.wait()

        try:
            with asyncio.Runner() as runner:
                self._stopped = asyncio.Event()
                self._runner = runner
                runner.run(serve())
        finally:
            ready.set()


_publishers: dict[asyncio.AbstractEventLoop, Publisher] = {}
_background = _BackgroundLoop()
_inherited: list[object] = []


def _start_anew() -> None:
    """In a forked child: leave the parent's loops alone and make new ones when needed."""
    global _background  # noqa: PLW0603
    # Kept, not collected: closing them would reach into the epoll instance shared with the parent.
    _inherited.extend([_background, dict(_publishers)])
    _publishers.clear()
    _background = _BackgroundLoop()


def stop() -> None:
    """Close the publisher of sync code. Runs at exit."""
    with contextlib.suppress(RuntimeError):
        _background.stop()


os.register_at_fork(after_in_child=_start_anew)
atexit.register(stop)
