"""One call of a task's function, and how it ended."""

import enum
import inspect
import json
import logging
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from traceback import format_exception, walk_tb
from typing import Any

from django.db import InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.tasks import TaskContext, TaskResult, TaskResultStatus
from django.tasks.base import TaskError
from django.utils.json import normalize_json

from .exceptions import Discard
from .lanes import TransactionLeftOpen
from .messages import TaskMessage
from .routes import TaskRoute
from .signals import AnyResult

logger = logging.getLogger("asgi_tasks")

TRACEBACK_CHARACTERS = 64_000  # of a longer one the beginning and the end are kept


class Outcome(enum.Enum):
    """How a delivery ended: a word for the log, and the status that answers the push."""

    SUCCEEDED = ("succeeded", 204)
    DISCARDED = ("discarded", 204)
    # Its effects are done; running it again would not make the result JSON.
    RESULT_NOT_JSON = ("result is not JSON", 204)
    FAILED = ("failed", 500)
    NO_LANE = ("not started in time", 503)
    NO_DATABASE = ("found its database out of reach", 503)
    TIMED_OUT = ("timed out", 504)

    def __init__(self, word: str, status: int) -> None:
        self.word = word
        self.status = status

    @property
    def is_acknowledged(self) -> bool:
        """Whether Pub/Sub takes the status as an acknowledgement."""
        return self.status == 204


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One push of one message, authenticated and matched to its route."""

    route: TaskRoute
    message: TaskMessage
    attempt: int
    received: float  # by the loop's clock, in seconds
    backend: str  # the alias
    sender: type[Any]  # of Django's signals

    @property
    def deadline(self) -> float:
        """When the push has to be answered, by the loop's clock."""
        return self.received + self.route.deadline


@dataclass(frozen=True, slots=True)
class Report:
    """What execute() tells of a delivery."""

    outcome: Outcome
    result: Any = None


class Attempt:
    """One call of a task's function, and the TaskResult that tells of it."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.is_plain = True  # its error, if any: what logs it can log all of it
        message, now = delivery.message, _now()
        self.result: AnyResult = TaskResult(
            task=delivery.route.task,
            id=message.task_id,
            status=TaskResultStatus.RUNNING,
            enqueued_at=message.enqueued_at,
            started_at=now,
            finished_at=None,
            last_attempted_at=now,
            args=message.args,
            kwargs=message.kwargs,
            backend=delivery.backend,
            errors=[],
            # Django counts attempts by workers; who made the earlier ones is not known here.
            worker_ids=["unknown"] * (delivery.attempt - 1) + [_worker_id()],
        )

    def call(self) -> Any:
        """The function's return value: of a coroutine function, its coroutine."""
        task, result = self.result.task, self.result
        context: tuple[Any, ...] = (TaskContext(task_result=result),) if task.takes_context else ()
        return task.func(*context, *result.args, **result.kwargs)

    def succeed(self, value: Any) -> Report:
        """Record the return value."""
        if _is_unfinished(value):
            # A decorator hides a coroutine, or the task is a generator: its body has not run.
            kind = type(value).__name__
            error = TypeError(f"the task returned a {kind} instead of running")
            return self._end_failed(error, Outcome.FAILED)
        try:
            value = normalize_json(value)
            json.dumps(value, allow_nan=False)
        except Exception as error:  # whatever the value's own methods raise
            return self._end_failed(error, Outcome.RESULT_NOT_JSON)
        self._end(TaskResultStatus.SUCCESSFUL, value)
        return Report(Outcome.SUCCEEDED, value)

    def fail(self, error: BaseException, *, timed_out: bool = False) -> Report:
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

    def _end_failed(self, error: BaseException, outcome: Outcome) -> Report:
        path = f"{type(error).__module__}.{type(error).__qualname__}"
        traceback, self.is_plain = _describe(error)
        self.result.errors.append(TaskError(exception_class_path=path, traceback=traceback))
        self._end(TaskResultStatus.FAILED, None)
        logger.log(
            logging.WARNING if outcome is Outcome.DISCARDED else logging.ERROR,
            "Task %s %s: id=%s attempt=%s%s",
            self.delivery.route.name,
            outcome.word,
            self.result.id,
            self.delivery.attempt,
            "" if self.is_plain else f"\n{traceback}",
            exc_info=error if self.is_plain else None,
        )
        return Report(outcome)

    def _end(self, status: TaskResultStatus, value: Any) -> None:
        # Frozen for their readers; Django's own backends set them the same way.
        object.__setattr__(self.result, "finished_at", _now())
        object.__setattr__(self.result, "status", status)
        object.__setattr__(self.result, "_return_value", value)


def _is_unfinished(value: Any) -> bool:
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
    half = TRACEBACK_CHARACTERS // 2
    return f"{traceback[:half]}\n[...]\n{traceback[-half:]}", False


def _connects(error: BaseException) -> bool:
    """Whether it was raised where Django connects to a database, by a pool too."""
    return any(frame.f_code is _CONNECT for frame, _ in walk_tb(error.__traceback__))


_CONNECT = inspect.unwrap(BaseDatabaseWrapper.connect).__code__


def _now() -> datetime:
    return datetime.now(UTC)


def _worker_id() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
