"""An event loop for sync code, in a thread of its own."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any

from .failures import PublishError


class BackgroundLoop:
    """An event loop in a thread of its own, started by the first sync enqueue."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._runner: asyncio.Runner | None = None
        self._thread: threading.Thread | None = None
        self._stopped: asyncio.Event

    def run[T](self, coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._get_loop())
        except RuntimeError as error:  # no thread, no loop, or the interpreter shuts down
            coroutine.close()
            raise PublishError(str(error), maybe_published=False) from error
        try:
            return future.result(seconds)
        except CancelledError as error:
            raise PublishError("the publisher was stopped", maybe_published=True) from error
        except TimeoutError as error:
            future.cancel()
            reason = f"the publisher's event loop is blocked for {seconds:g} s"
            raise PublishError(reason, maybe_published=True) from error

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
            # At exit Python 3.12 starts no thread, and so cannot join those of the resolver.
            with contextlib.suppress(RuntimeError), asyncio.Runner() as runner:
                self._stopped = asyncio.Event()
                self._runner = runner
                runner.run(serve())
        finally:
            ready.set()
