"""An event loop for sync code, in a thread of its own."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context

from asgi_tasks import eager

from .failures import PublishError
from .pending import STOPPED, Pending
from .publisher import make_publisher, publishers


class BackgroundLoop:
    """An event loop in a thread of its own, started by the first sync enqueue."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._running: _Loop | None = None

    def publish(self, topic: str, pending: Pending, confirmed: Future[str], seconds: float) -> str:
        """Hand it over and wait for the broker's id, so long at the most. Raise PublishError."""
        try:
            self._get_loop().hand_over(topic, pending)
        except RuntimeError as error:  # no thread, no loop, or the interpreter shuts down
            raise PublishError(str(error), maybe_published=False) from error
        try:
            return confirmed.result(seconds)
        except TimeoutError as error:
            reason = f"the publisher's event loop is blocked for {seconds:g} s"
            raise PublishError(reason, maybe_published=True) from error

    def stop(self) -> None:
        """End the loop, which closes its publisher."""
        with self._starting:
            if self._running is not None:
                self._running.stop()
                self._running = None

    def _get_loop(self) -> "_Loop":
        with self._starting:
            if self._running is None:
                self._running = _Loop()
            return self._running


class _Loop:
    """Runs from its making until stop(). It wakes up once for all that is handed over meanwhile."""

    def __init__(self) -> None:
        """Raise RuntimeError if the loop does not start."""
        self._handing = threading.Lock()
        self._handed: list[tuple[str, Pending]] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # while it runs
        self._ended: asyncio.Event
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(ready,), name="asgi_tasks-publisher", daemon=True
        )
        self._thread.start()
        ready.wait()
        if self._loop is None:
            raise RuntimeError("the publisher's event loop did not start")

    def hand_over(self, topic: str, pending: Pending) -> None:
        """Have it published by the loop. Raise RuntimeError if that has ended."""
        with self._handing:
            if not self._handed:
                self._call(self._publish)
            self._handed.append((topic, pending))

    def stop(self) -> None:
        """End the loop and wait for that."""
        with self._handing, contextlib.suppress(RuntimeError):
            self._call(self._ended.set)
        self._thread.join(timeout=2)

    def _call(self, callback: Callable[[], object]) -> None:
        if self._loop is None:
            raise RuntimeError("the publisher's event loop has ended")
        self._loop.call_soon_threadsafe(callback, context=Context())

    def _serve(self, ready: threading.Event) -> None:
        try:
            # At exit Python 3.12 starts no thread, and so cannot join those of the resolver.
            with contextlib.suppress(RuntimeError), asyncio.Runner() as runner:
                runner.run(self._run(ready))
        finally:
            for _, pending in self._take():
                pending.fail(STOPPED)
            ready.set()

    async def _run(self, ready: threading.Event) -> None:
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        ready.set()
        try:
            await self._ended.wait()
        finally:
            with self._handing:
                self._loop = None

    def _publish(self) -> None:
        if self._loop is not None:  # else _serve() fails what is left
            eager.start(self._submit(self._loop))

    async def _submit(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            publisher = publishers.get(loop) or await make_publisher(loop)
        except PublishError as error:
            for _, pending in self._take():
                pending.fail(str(error), error.__cause__)
        else:
            for topic, pending in self._take():
                publisher.submit(topic, pending)

    def _take(self) -> list[tuple[str, Pending]]:
        with self._handing:
            handed, self._handed = self._handed, []
        return handed
