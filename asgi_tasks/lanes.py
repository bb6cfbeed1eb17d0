"""A bounded pool of threads for sync work, so that database connections stay few.

A connection belongs to a thread, so N lanes hold at most N connections to a database. A sync task
keeps a lane while it runs. A coroutine task borrows one for each sync_to_async or ORM call and
gives it back when the call returns: a task that only waits holds no lane. So no transaction may
outlive a call: the next one is somebody else's.
"""

import functools
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Self

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from . import metrics
from .metrics import LaneUse

logger = logging.getLogger("asgi_tasks")

INTRANS, INERROR = 2, 3  # libpq's PGTransactionStatusType


class TransactionLeftOpen(TransactionManagementError):
    """A call ended within a transaction, which was rolled back."""


class Lane:
    """One thread, and the runs that may come back to its database connections."""

    def __init__(self, number: int) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=f"asgi_tasks-lane-{number}")
        self.users: set[Borrower] = set()
        self.is_tidy = True


class Borrower(Executor):
    """The lanes as one run sees them: an executor that runs one call at a time.

    ``with borrower:`` is asgiref's ThreadSensitiveContext(executor=...) for an asyncio task of its
    own, whose context ends with it: its calls of sync_to_async, Django's ORM among them, and those
    of the tasks that it starts. Here entering and leaving cost little, as most runs call nothing.
    """

    calls: deque[tuple[Future[Any], Callable[[], Any]]]
    visited: set[Lane]
    has_called = False  # and so has these two
    is_admitted = False  # waiting for a lane or running in one
    is_released = False  # comes back to no connection, even if a cancelled call is queued

    def __init__(self, lanes: "Lanes") -> None:
        self._lanes = lanes

    def __enter__(self) -> Self:
        _borrower.set(self)
        SyncToAsync.thread_sensitive_context.set(_BORROWED)
        # An async_to_sync() around the run would take the calls to its own thread.
        AsyncToSync.executors.current = None
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def submit[**P, T](
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> "Future[T]":
        """Run the call in a lane, after those this borrower submitted before."""
        future: Future[T] = Future()
        self._lanes.admit(self, future, functools.partial(fn, *args, **kwargs))
        return future

    def have_queue(self) -> None:
        """Before a call is queued: a run that stays on the event loop needs no queue."""
        if not self.has_called:
            self.calls, self.visited = deque(), set()
            self.has_called = True

    def release(self) -> None:
        """Give the lanes leave to close the connections this run used."""
        self.is_released = True
        if self.has_called:
            self._lanes.release(self)

    def run_next(self) -> None:
        """In a lane's thread: the first of the waiting calls."""
        future, call = self.calls.popleft()
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = run_tidily(call)
        except BaseException as error:
            future.set_exception(error)
            del future  # it holds the error, whose traceback holds this frame
        else:
            future.set_result(result)


class _Borrowed(Executor):
    """That of the run which calls."""

    def submit[**P, T](
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> "Future[T]":
        borrower = _borrower.get()
        if borrower.is_released:
            raise RuntimeError("The run of this asyncio task is over: it has no lane any more.")
        return borrower.submit(fn, *args, **kwargs)


_borrower: ContextVar[Borrower] = ContextVar("asgi_tasks.borrower")
_BORROWED = ThreadSensitiveContext()
SyncToAsync.context_to_thread_executor[_BORROWED] = _Borrowed()


class Lanes:
    """Lends its lanes to borrowers, first come first served."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._size = size
        self._free = [Lane(number) for number in reversed(range(size))]
        self._waiting: deque[Borrower] = deque()

    def admit(self, borrower: Borrower, future: "Future[Any]", call: Callable[[], Any]) -> None:
        """Queue a call of the borrower."""
        with self._lock:
            borrower.have_queue()
            borrower.calls.append((future, call))
            if borrower.is_admitted:
                return
            borrower.is_admitted = True
            self._waiting.append(borrower)
            if self._free:
                self._wake(self._choose(borrower))

    def release(self, borrower: Borrower) -> None:
        """Forget the borrower, and wake idle lanes that it kept from closing connections."""
        with self._lock:
            for lane in borrower.visited:
                lane.users.discard(borrower)
                if lane in self._free and not lane.users:
                    self._wake(lane)

    def use(self) -> LaneUse:
        """How busy they are just now."""
        idle = len(self._free)
        return LaneUse(used=self._size - idle, idle=idle, waiting=len(self._waiting))

    def _choose(self, borrower: Borrower) -> Lane:
        # Otherwise the last one, so that light traffic stays on few connections.
        return next((lane for lane in self._free if lane in borrower.visited), self._free[-1])

    def _wake(self, lane: Lane) -> None:
        self._free.remove(lane)
        lane.thread.submit(self._serve, lane)

    def _serve(self, lane: Lane) -> None:
        """In the lane's thread: one call each for those who wait, until nobody does."""
        while borrower := self._next_borrower(lane):
            if lane not in borrower.visited:
                _renew_connections(is_shared=bool(lane.users))
                self._visit(lane, borrower)
            borrower.run_next()
            self._readmit(borrower)

    def _next_borrower(self, lane: Lane) -> Borrower | None:
        while True:
            with self._lock:
                if self._waiting:
                    lane.is_tidy = False
                    return self._waiting.popleft()
                if lane.users or lane.is_tidy:
                    self._free.append(lane)
                    return None
            _renew_connections()
            lane.is_tidy = True

    def _visit(self, lane: Lane, borrower: Borrower) -> None:
        with self._lock:
            if not borrower.is_released:
                lane.users.add(borrower)
                borrower.visited.add(lane)

    def _readmit(self, borrower: Borrower) -> None:
        with self._lock:
            borrower.is_admitted = bool(borrower.calls)
            if borrower.is_admitted:
                self._waiting.append(borrower)


def run_tidily[T](call: Callable[[], T]) -> T:
    """In a lane's thread: what the call returns, with the connections as the next one needs them.

    Raise TransactionLeftOpen if it left a transaction open. That is rolled back, so to take
    the call for done would lose its work.
    """
    blocks = _count_blocks()
    try:
        result = call()
    except BaseException:
        _mend_connections(blocks)
        raise
    if aliases := _mend_connections(blocks):
        message = f"A transaction was left open, and rolled back: {', '.join(aliases)}. It cannot "
        raise TransactionLeftOpen(f"{message}outlive its call: use transaction.atomic().")
    return result


def _count_blocks() -> dict[str, int]:
    """The blocks of transaction.atomic() around a call, by alias: those of a test, never others."""
    return {c.alias: len(c.atomic_blocks) for c in connections.all(initialized_only=True)}


def _mend_connections(blocks: Mapping[str, int]) -> list[str]:
    """In a lane's thread: end and close what the next call cannot use.

    Return where a transaction was left open.
    """
    opened = connections.all(initialized_only=True)
    return [c.alias for c in opened if _mend(c, blocks.get(c.alias, 0))]


def _mend(connection: BaseDatabaseWrapper, blocks: int) -> bool:
    if blocks:
        return _leave_blocks(connection, blocks)
    is_left_open = False
    try:
        if is_left_open := _is_left_open(connection):
            _roll_back(connection)
        if _is_broken(connection):
            connection.close()
    except Exception:  # past mending, and the lane has to live on
        del connections[connection.alias]
        with suppress(Exception):
            connection.close()
    return is_left_open


def _leave_blocks(connection: BaseDatabaseWrapper, blocks: int) -> bool:
    """Roll back all but the first so many blocks. Whether there were more."""
    is_left_open = len(connection.atomic_blocks) > blocks
    while len(connection.atomic_blocks) > blocks:
        connection.atomic_blocks[-1].__exit__(TransactionLeftOpen, TransactionLeftOpen(), None)
    return is_left_open


def _roll_back(connection: BaseDatabaseWrapper) -> None:
    """Without closing it: another run may come back to a cursor it left open here."""
    connection.in_atomic_block = False  # what Django resets when it connects
    connection.savepoint_ids, connection.atomic_blocks = [], []
    connection.rollback()
    connection.set_autocommit(True)


def _is_left_open(connection: BaseDatabaseWrapper) -> bool:
    if connection.in_atomic_block:
        return True
    if connection.connection is None or not connection.settings_dict["AUTOCOMMIT"]:
        return False
    return not connection.autocommit or _is_in_transaction(connection.connection)


def _is_in_transaction(driver: Any) -> bool:
    """As the driver knows it, after a BEGIN of the task's own: psycopg and psycopg2, sqlite3."""
    if info := getattr(driver, "info", None):
        return getattr(info, "transaction_status", None) in (INTRANS, INERROR)
    return getattr(driver, "in_transaction", False)


def _is_broken(connection: BaseDatabaseWrapper) -> bool:
    if connection.connection is not None and connection.errors_occurred:
        connection.errors_occurred = not connection.is_usable()
        return connection.errors_occurred
    return False


def _renew_connections(*, is_shared: bool = False) -> None:
    """In a lane's thread: close what Django would close between two requests.

    Shared with a run that may come back to a cursor it left open here, only what fails Django's
    health check.
    """
    for connection in connections.all(initialized_only=True):
        try:
            if is_shared:
                connection.health_check_done = False  # type: ignore[attr-defined]
            else:
                connection.close_if_unusable_or_obsolete()
        except Exception:  # the lane has to live on
            logger.exception("Database connection %r could not be closed", connection.alias)


def get_lanes(size: int) -> Lanes:
    """The lanes of this process, unless a test has put others in their place."""
    return replacement.get() or _make_lanes(size)


@functools.cache
def _make_lanes(size: int) -> Lanes:
    lanes = Lanes(size)
    metrics.observe_lanes(lanes.use)
    return lanes


replacement: ContextVar[Lanes | None] = ContextVar("asgi_tasks.lanes", default=None)
# The threads stay behind with the parent.
os.register_at_fork(after_in_child=_make_lanes.cache_clear)
