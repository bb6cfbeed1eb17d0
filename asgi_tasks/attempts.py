"""One call of a task's function, and how it ended."""

import functools
import inspect
import json
import os
import socket
from collections.abc import Iterable
from datetime import UTC, datetime
from traceback import format_exception, walk_tb
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.tasks import TaskContext, TaskResult, TaskResultStatus
from django.tasks.base import TaskError
from django.utils.json import normalize_json

from .deliveries import Delivery, Outcome, Report
from .exceptions import Discard, TracebackCut
from .lanes import TransactionLeftOpen
from .signals import AnyResult

TRACEBACK_CHARACTERS = 64_000  # of a longer one the beginning and the end are kept
GAP = "\n[...]\n"


class Ending(NamedTuple):
    """How a call ended."""

    report: Report
    error: BaseException | None = None  # as a log may show it


class Attempt:
    """One call of a task's function, and the TaskResult that tells of it."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.is_whole = True  # the traceback of its error, if any
        self._started = _now()
        self._finished: datetime | None = None
        self._status = TaskResultStatus.RUNNING
        self._value: Any = None
        self._errors: list[TaskError] = []

    @functools.cached_property
    def result(self) -> AnyResult:
        """Made when somebody asks for it. Its arguments are copies of the message's."""
        delivery = self.delivery
        result: AnyResult = TaskResult(
            task=delivery.route.task,
            id=delivery.message.task_id,
            status=self._status,
            enqueued_at=delivery.message.enqueued_at,
            started_at=self._started,
            finished_at=self._finished,
            last_attempted_at=self._started,
            args=delivery.message.args,
            kwargs=delivery.message.kwargs,
            backend=delivery.backend,
            errors=self._errors,
            # Django counts attempts by workers; who made the earlier ones is not known here.
            worker_ids=["unknown"] * (delivery.attempt - 1) + [_worker_id()],
        )
        object.__setattr__(result, "_return_value", self._value)
        return result

    def call(self) -> Any:
        """The function's return value: of a coroutine function, its coroutine."""
        task, message = self.delivery.route.task, self.delivery.message
        if task.takes_context:
            context = TaskContext(task_result=self.result)
            return task.func(context, *self.result.args, **self.result.kwargs)
        if _is_flat(message.args) and _is_flat(message.kwargs.values()):
            return task.func(*message.args, **message.kwargs)
        return task.func(*self.result.args, **self.result.kwargs)  # it may change what it gets

    def succeed(self, value: Any) -> Ending:
        """Record the return value."""
        if _is_unfinished(value):
            # A decorator hides a coroutine, or the task is a generator: its body has not run.
            kind = type(value).__name__
            error = TypeError(f"the task returned a {kind} instead of running")
            return self._end_failed(error, Outcome.FAILED)
        try:
            if value is not None:
                value = normalize_json(value)
                json.dumps(value, allow_nan=False)
        except Exception as error:  # whatever the value's own methods raise
            return self._end_failed(error, Outcome.RESULT_NOT_JSON)
        self._end(TaskResultStatus.SUCCESSFUL, value)
        return Ending(Report(Outcome.SUCCEEDED, value))

    def fail(self, error: BaseException, *, timed_out: bool = False) -> Ending:
        """Record what the task raised."""
        return self._end_failed(error, self._judge(error, timed_out))

    def _judge(self, error: BaseException, timed_out: bool) -> Outcome:
        if isinstance(error, Discard):
            return Outcome.DISCARDED
        # What is ours to tell comes first: discard_on is about the task's own errors.
        if timed_out:
            return Outcome.TIMED_OUT
        if isinstance(error, OperationalError | InterfaceError) and _connects(error):
            return Outcome.NO_DATABASE
        is_own = not isinstance(error, TransactionLeftOpen)
        return (
            Outcome.DISCARDED if is_own and self.delivery.route.discards(error) else Outcome.FAILED
        )

    def _end_failed(self, error: BaseException, outcome: Outcome) -> Ending:
        path = f"{type(error).__module__}.{type(error).__qualname__}"
        traceback, self.is_whole = _describe(error)
        self._errors.append(TaskError(exception_class_path=path, traceback=traceback))
        self._end(TaskResultStatus.FAILED, None)
        return Ending(Report(outcome), error if self.is_whole else TracebackCut(traceback, error))

    def _end(self, status: TaskResultStatus, value: Any) -> None:
        self._finished, self._status, self._value = _now(), status, value
        if "result" in self.__dict__:
            # Frozen for its readers; Django's own backends set it the same way.
            object.__setattr__(self.result, "finished_at", self._finished)
            object.__setattr__(self.result, "status", status)
            object.__setattr__(self.result, "_return_value", value)


def _is_flat(values: Iterable[Any]) -> bool:
    """Whether none of them can be changed."""
    return not any(type(value) is list or type(value) is dict for value in values)


def _is_unfinished(value: Any) -> bool:
    if value is None:
        return False
    if inspect.iscoroutine(value):
        value.close()
        return True
    return inspect.isawaitable(value) or inspect.isgenerator(value) or inspect.isasyncgen(value)


def _describe(error: BaseException) -> tuple[str, bool]:
    """The traceback, and whether it is whole: an error may be huge, or fail to show itself."""
    try:
        traceback = "".join(format_exception(error))
    except Exception as failure:
        kind = type(error).__qualname__
        return f"{kind}, which cannot be shown: {type(failure).__name__}\n", False
    if len(traceback) <= TRACEBACK_CHARACTERS:
        return traceback, True
    half = (TRACEBACK_CHARACTERS - len(GAP)) // 2
    return f"{traceback[:half]}{GAP}{traceback[-half:]}", False


def _connects(error: BaseException) -> bool:
    """Whether it was raised where Django connects to a database, by a pool too."""
    return any(frame.f_code is _CONNECT for frame, _ in walk_tb(error.__traceback__))


_CONNECT = inspect.unwrap(BaseDatabaseWrapper.connect).__code__


def _now() -> datetime:
    return datetime.now(UTC)


@functools.cache
def _worker_id() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


os.register_at_fork(after_in_child=_worker_id.cache_clear)
