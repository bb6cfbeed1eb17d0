"""Where tasks run in a test: where the test's own sync code does, in its transaction."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from asgiref.sync import SyncToAsync, sync_to_async
from django.core.signals import request_finished, request_started
from django.db import DatabaseError, close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..lanes import Borrower, Lanes

logger = logging.getLogger("asgi_tasks")


class TestThread(Lanes):
    """The one lane of a test: the thread that its own sync_to_async() would lead to.

    Make it where the test runs. It shares that thread's database connections, so that a task sees
    what the test has written, and the other way round.
    """

    __test__ = False  # for pytest

    def __init__(self) -> None:
        super().__init__(0)
        self._context = copy_context()
        self._calls: set[asyncio.Task[None]] = set()

    def admit(self, borrower: Borrower, future: "Future[Any]", call: Callable[[], Any]) -> None:
        """Run a call of the borrower."""
        borrower.have_queue()
        borrower.calls.append((future, call))
        # In the test's own context: that of the run leads back here.
        running = asyncio.get_running_loop().create_task(
            sync_to_async(borrower.run_next)(), context=self._context.copy()
        )
        self._calls.add(running)
        running.add_done_callback(self._calls.discard)

    def release(self, borrower: Borrower) -> None:
        """Nothing: the connections are the test's."""


@dataclass(slots=True)
class _Savepoint:
    connection: BaseDatabaseWrapper
    id: str | None
    callbacks: int  # of on_commit() that were waiting already


class Savepoints:
    """Of the transaction a test runs in, set before a task and given up after it.

    For code that runs where the test's own sync code does.
    """

    def __init__(self) -> None:
        self._open = [
            _Savepoint(c, c.savepoint(), len(c.run_on_commit))
            for c in connections.all(initialized_only=True)
            if c.in_atomic_block and not c.needs_rollback
        ]

    def leave(self) -> None:
        """Bring the test's transaction to what it would be if the task had one of its own.

        After an error in the database it can be used again, without what the task wrote; and what
        waited for the task's commits runs.
        """
        for savepoint in self._open:
            _leave(savepoint)
        for savepoint in self._open:
            _run_callbacks(savepoint.connection, savepoint.callbacks)


def _leave(savepoint: _Savepoint) -> None:
    connection, sid = savepoint.connection, savepoint.id
    if sid is None:  # the database has none
        return
    try:
        connection.savepoint_commit(sid)  # refused after an error
    except DatabaseError:
        connection.needs_rollback = False
        connection.savepoint_rollback(sid)
        connection.savepoint_commit(sid)


def _run_callbacks(connection: BaseDatabaseWrapper, first: int) -> None:
    while len(connection.run_on_commit) > first:
        # django-stubs has them as pairs.
        _, callback, is_robust = connection.run_on_commit.pop(first)  # type: ignore[misc]
        try:
            callback()
        except Exception:
            if not is_robust:
                raise
            logger.exception("A callback of on_commit() failed")


@contextmanager
def kept_connections() -> Iterator[None]:
    """Keep Django's handler from closing the test's connections, as Django's test client does."""
    ended = [s for s in (request_started, request_finished) if s.disconnect(close_old_connections)]
    try:
        yield
    finally:
        for signal in ended:
            signal.connect(close_old_connections)


def count_waiting_callbacks() -> int:
    """How many callbacks of on_commit() wait in this thread for the end of a transaction."""
    return sum(len(c.run_on_commit) for c in connections.all(initialized_only=True))


@contextmanager
def shared_transaction() -> Iterator[None]:
    """For a coroutine test: let its sync code work within the transaction of this thread, if any.

    Where no sync code waits for a coroutine, asgiref runs its sync code in one thread of its own.
    The connections that thread opens are closed in the end, or PostgreSQL would not let the test
    database be dropped.
    """
    ours = [c for c in connections.all(initialized_only=True) if c.in_atomic_block]
    thread = SyncToAsync.single_thread_executor
    for connection in ours:
        connection.inc_thread_sharing()
    theirs = thread.submit(_exchange, ours).result()
    try:
        yield
    finally:
        thread.submit(_give_back, ours, theirs).result()
        for connection in ours:
            connection.dec_thread_sharing()


def _exchange(ours: list[BaseDatabaseWrapper]) -> list[BaseDatabaseWrapper]:
    """Use these connections in this thread; those it had for the same databases."""
    aliases = {connection.alias for connection in ours}
    theirs = [c for c in connections.all(initialized_only=True) if c.alias in aliases]
    for connection in ours:
        connections[connection.alias] = connection
    return theirs


def _give_back(ours: list[BaseDatabaseWrapper], theirs: list[BaseDatabaseWrapper]) -> None:
    for connection in ours:
        del connections[connection.alias]
    for connection in theirs:
        connections[connection.alias] = connection
    connections.close_all()
