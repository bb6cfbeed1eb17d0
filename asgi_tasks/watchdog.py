"""Warns when a call blocks the event loop while coroutine tasks run on it.

Such a call freezes pages and pushes alike. The loop ticks while tasks run; a thread looks whether
it still does, and where it stands if not.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from contextvars import Context
from traceback import StackSummary, walk_stack

from . import metrics

logger = logging.getLogger("asgi_tasks")

INTERVAL = 0.2  # seconds between two ticks, and between two looks
PATIENCE = 0.6  # seconds without a tick
SHOWN = 10  # of the tasks that run, and of the frames of the stack


class watching:  # noqa: N801 - a context manager
    """Watch the running event loop meanwhile; ``label`` tells what runs."""

    __slots__ = ("_label", "_labels")

    def __init__(self, label: str) -> None:
        self._label = label

    def __enter__(self) -> None:
        self._labels = _get_watch(asyncio.get_running_loop()).labels
        self._labels[self] = self._label

    def __exit__(self, *error: object) -> None:
        del self._labels[self]


def _get_watch(loop: asyncio.AbstractEventLoop) -> "_Watch":
    watch = _watches.get(loop)
    if watch is None:
        watch = _watches[loop] = _Watch(loop)
        _guard.wake()
    return watch


class _Watch:
    """One event loop on which tasks run."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.labels: dict[object, str] = {}
        self._loop = loop
        self._thread = threading.get_ident()
        self._ticked = time.monotonic()
        self._warned = False
        # In no context: the ticks are not of the delivery that happens to start them.
        loop.call_later(INTERVAL, self._tick, context=Context())

    def look(self) -> None:
        """In the guard's thread: warn if the loop stands still, once."""
        stood = time.monotonic() - self._ticked
        if not self._loop.is_running():
            _watches.pop(self._loop, None)
        elif stood > PATIENCE and not self._warned and self.labels:
            self._warned = True
            where = self._where()
            line = "The event loop is blocked, for %.1f s so far, at %s. Use await or a sync task "
            line += "there. It was running: %s"
            logger.warning(line, stood, where, self._running())

    def _tick(self) -> None:
        now = time.monotonic()
        stood, self._ticked = now - self._ticked, now
        metrics.record_lag(stood - INTERVAL)
        if stood > PATIENCE:
            logger.warning(
                "The event loop was blocked for %.1f s. Now running: %s", stood, self._running()
            )
        self._warned = False
        if self.labels:
            self._loop.call_later(INTERVAL, self._tick)
        else:
            _watches.pop(self._loop, None)

    def _running(self) -> str:
        labels = list(self.labels.values())
        more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
        return ", ".join(labels[:SHOWN]) + more

    def _where(self) -> str:
        frame = sys._current_frames().get(self._thread)
        stack = StackSummary.extract(walk_stack(frame), limit=SHOWN, lookup_lines=False)
        return " < ".join(f"{call.name} ({call.filename}:{call.lineno})" for call in stack)


class _Guard:
    """The thread that looks; it sleeps while no tasks run."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._patrol, name="asgi_tasks-watchdog", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def _patrol(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while _watches:
                time.sleep(INTERVAL)
                for watch in list(_watches.values()):
                    watch.look()


def _start_anew() -> None:
    """In a forked child, where the thread is not."""
    global _guard  # noqa: PLW0603
    _watches.clear()
    _guard = _Guard()


_watches: dict[asyncio.AbstractEventLoop, _Watch] = {}
_guard = _Guard()
os.register_at_fork(after_in_child=_start_anew)
