"""Running a task in this process, at a shell."""

import asyncio
import inspect
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError
from django.tasks import TaskContext, TaskResult, TaskResultStatus

from asgi_tasks.management.calling import Call


class Overran(BaseException):
    """The task ran for longer than it was given. No Exception: the task shall not catch it."""


def run(call: Call, timeout: float | None) -> Any:
    """What the task returns; ``timeout`` is in seconds.

    Raise Overran, or whatever it raises.
    """
    context = (_context(call),) if call.task.takes_context else ()
    if inspect.iscoroutinefunction(call.task.func):
        return asyncio.run(_await(call, context, seconds=timeout))
    with _alarm(timeout):
        value = call.task.func(*context, *call.args, **call.kwargs)
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError("the task returned a coroutine instead of running")
    return value


async def _await(call: Call, context: tuple[Any, ...], *, seconds: float | None) -> Any:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await call.task.func(*context, *call.args, **call.kwargs)
    except TimeoutError as error:
        if limit.expired():
            raise Overran from error
        raise


@contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """Raise Overran in this thread after so long, even within a call that blocks."""
    if seconds is None:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        raise CommandError(
            "--timeout needs the main thread, as a sync task is stopped by a signal."
        )

    def overrun(*args: object) -> None:
        raise Overran

    before = signal.signal(signal.SIGALRM, overrun)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _context(call: Call) -> "TaskContext[..., Any]":
    """As in the first attempt of a delivery."""
    now = datetime.now(UTC)
    return TaskContext(
        task_result=TaskResult(
            task=call.task,
            id=str(uuid.uuid4()),
            status=TaskResultStatus.RUNNING,
            enqueued_at=now,
            started_at=now,
            finished_at=None,
            last_attempted_at=now,
            args=call.args,
            kwargs=call.kwargs,
            backend=call.task.backend,
            errors=[],
            worker_ids=["run_task"],
        )
    )
