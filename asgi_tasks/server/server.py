"""Daphne's server, which also takes its limits, and ends with grace."""

# First: it chooses Twisted's reactor.
import daphne.server  # isort:skip

import asyncio
import contextlib
import functools
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from types import FrameType
from typing import Any
from urllib.parse import unquote_to_bytes

from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor

from asgi_tasks.backends import get_backend
from asgi_tasks.dispatch import BODY_TIMEOUT

from .channel import Channel, Limits

logger = logging.getLogger("asgi_tasks")

# Seconds:
DRAIN = 8  # for what runs when the signal comes; Cloud Run kills ten seconds after it
CANCEL = 0.7  # for what is cancelled then
FLUSH = 0.1  # for the last answers
EXIT = 9.2  # the process is gone by then, whatever its threads do
HURRIED = 0.3  # the same after a second signal

SIGNALS = (signal.SIGTERM, signal.SIGINT)
BACKLOG = 2048  # Twisted's own 50 stalls a burst of pushes
# What Cloud Run lets through: https://cloud.google.com/run/quotas
LIMITS = Limits(size=32 * 2**20, seconds=60)
BODIES_BYTES = 128 * 2**20


class Server(daphne.server.Server):
    """Daphne's server, which also takes its limits, and drains on SIGTERM and SIGINT.

    What a push may be follows from the options of PubSubBackend; ``limits`` are for all other
    requests. All bodies under way that are not small have ``max_bodies_bytes`` together.
    """

    signal_handlers: bool

    def __init__(
        self,
        application: Any,
        endpoints: Iterable[str] | None = None,
        *,
        limits: Limits = LIMITS,
        max_bodies_bytes: int = BODIES_BYTES,
        logs_access: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(application, [*map(_with_backlog, endpoints or ())], **options)
        if not logs_access:
            self.action_logger = None
        self.max_bodies_bytes = max_bodies_bytes
        self.channels: set[Channel] = set()
        self.held = 0  # bytes of large bodies under way
        self.is_draining = False
        self._limits = limits
        self._limits_by_path = _limits_of_pushes()
        self._ports: list[Any] = []
        self._loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
        self._woken, self._waking = socket.socketpair()
        self._waking.setblocking(False)
        self._hurry = asyncio.Event()
        self._is_alone = asyncio.Event()

    def run(self) -> None:
        """Serve until a signal comes and what ran then has ended."""
        if self.signal_handlers:
            reactor.callWhenRunning(self._handle_signals)
            self.signal_handlers = False  # Twisted's, which end at once
        reactor.callLater(1, self._check_deadlines)
        gc.freeze()  # what the start has left stays: no collection has to look at it again
        super().run()

    def listen_success(self, port: Any) -> None:
        """It listens: from here on the connections are ours."""
        self.http_factory.protocol = Channel
        self.http_factory.acceptableProtocols = lambda: [b"http/1.1"]
        self.http_factory.log = _log_nothing
        self.http_factory.timeOut = None  # ours: a timer for each request costs more
        self._ports.append(port)
        super().listen_success(port)

    def limits(self, uri: bytes) -> Limits:
        """What the body of a request to this URI may be."""
        path = unquote_to_bytes(uri.partition(b"?")[0])
        return self._limits_by_path.get(path, self._limits)

    def forget(self, channel: Channel) -> None:
        """A connection is closed."""
        self.channels.discard(channel)
        if not self.channels:
            self._is_alone.set()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """The input queue of an application that is forgotten as soon as it has answered.

        Daphne's own look for those once a second: under load thousands of them lie about.
        """
        queue = super().create_application(protocol, scope)
        if task := self.connections.get(protocol, {}).get("application_instance"):
            task.add_done_callback(functools.partial(self._forget_answered, protocol))
        return queue

    def _forget_answered(self, protocol: Any, task: asyncio.Task[None]) -> None:
        """Unless there is something to tell: then it is left to Daphne's check."""
        is_over = "disconnected" in self.connections.get(protocol, {})
        if is_over and not task.cancelled() and not task.exception():
            del self.connections[protocol]

    def kill_all_applications(self) -> None:
        """Nothing: they have been drained. Daphne's own stumbles over half-received requests."""

    def _check_deadlines(self) -> None:
        reactor.callLater(1, self._check_deadlines)
        now = time.monotonic()
        for channel in list(self.channels):
            channel.check_deadline(now)

    def _handle_signals(self) -> None:
        # Python's own handlers wait for the main thread; a blocking call may hold that.
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._exit_in_time, name="asgi_tasks-exit", daemon=True).start()
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        os.register_at_fork(after_in_child=_leave_signals_alone)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._drain_or_hurry)

    def _exit_in_time(self) -> None:
        """In a thread: the loop, or a lane the interpreter waits for, may be stuck."""
        self._wait_for_signal(None)
        if self._wait_for_signal(EXIT):
            time.sleep(HURRIED)
        else:
            logger.warning("Exiting although something still runs here: Pub/Sub sends it again")
        os._exit(0)

    def _wait_for_signal(self, seconds: float | None) -> bool:
        """Whether one of ours comes within so many seconds."""
        ends = time.monotonic() + (seconds or 0)
        while True:
            self._woken.settimeout(seconds and max(0.001, ends - time.monotonic()))
            try:
                if self._woken.recv(1)[0] in SIGNALS:
                    return True
            except TimeoutError:
                return False

    def _drain_or_hurry(self) -> None:
        if self.is_draining:
            self._hurry.set()
        else:
            self.is_draining = True
            self._draining = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        ends = self._loop.time() + DRAIN
        try:
            self._take_no_more()
            await self._wait_for_answers()
            await self._cancel_the_rest()
            await self._loop.shutdown_asyncgens()  # which close the publisher
            await self._close_connections(ends)
        finally:
            reactor.stop()

    def _take_no_more(self) -> None:
        self.application = _unavailable
        for port in self._ports:
            port.stopListening()
        for protocol in list(self.connections):
            if isinstance(protocol, WebSocketProtocol):
                if protocol.state == protocol.STATE_OPEN:
                    protocol.sendCloseFrame(code=1001)  # going away
            elif channel := getattr(protocol, "channel", None):
                channel.close_after(protocol)

    async def _wait_for_answers(self) -> None:
        under_way = self._under_way()
        logger.info("Stopping: %s requests are under way", len(under_way))
        if under_way:
            answered = asyncio.ensure_future(asyncio.wait(under_way.values()))
            hurried = asyncio.ensure_future(self._hurry.wait())
            await asyncio.wait({answered, hurried}, timeout=DRAIN, return_when="FIRST_COMPLETED")
            answered.cancel()
            hurried.cancel()

    async def _cancel_the_rest(self) -> None:
        """Answer 503 for what still runs, and cancel it."""
        if left := self._under_way():
            logger.warning("Stopping: %s requests have not ended and are cancelled", len(left))
            for protocol, task in left.items():
                if isinstance(protocol, WebSocketProtocol) or protocol._response_started:
                    task.cancel()
                else:  # An answered request is told that its client left, and cancels itself.
                    await _answer(functools.partial(self.handle_reply, protocol))
            await _wait(_others(), CANCEL)
        for task in (others := _others()):
            task.cancel()
        await _wait(others, FLUSH)

    async def _close_connections(self, at: float) -> None:
        """Close each once its last answer is sent, at the latest when the loop's clock says so."""
        self._is_alone.clear()
        for channel in list(self.channels):
            channel.loseConnection()
        if self.channels:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_alone.wait(), max(FLUSH, at - self._loop.time()))

    def _under_way(self) -> dict[Any, asyncio.Task[None]]:
        running = ((p, d.get("application_instance")) for p, d in self.connections.items())
        return {protocol: task for protocol, task in running if task and not task.done()}


def _log_nothing(request: Any) -> None:
    """Instead of Twisted's access log, which is made for each request even where none is kept."""


def _leave_signals_alone() -> None:
    """In a forked child: those of a pool end by SIGTERM."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _others() -> set[asyncio.Task[Any]]:
    current = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not current}


async def _wait(tasks: Collection[asyncio.Task[Any]], seconds: float) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


async def _unavailable(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
    else:
        await _answer(send)


async def _answer(send: Any) -> None:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    await send({"type": "http.response.start", "status": status.value, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def _limits_of_pushes() -> dict[bytes, Limits]:
    backend = get_backend()
    if backend is None:
        return {}
    options = backend.config
    return {options.push_path.encode(): Limits(options.max_body_bytes, BODY_TIMEOUT)}


def _with_backlog(endpoint: str) -> str:
    is_bare = endpoint.startswith("tcp:") and "backlog=" not in endpoint
    return f"{endpoint}:backlog={BACKLOG}" if is_bare else endpoint
