"""One push of one message, how it ended, and the line and figures that tell of it."""

import enum
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from . import metrics
from .conf import BackendOptions
from .exceptions import TracebackCut
from .messages import TaskMessage
from .routes import TaskRoute

logger = logging.getLogger("asgi_tasks")

RESULT_CHARACTERS = 200  # of a result, in the log
LINE = (
    "Task %(task_name)s %(outcome)s in %(duration_ms)s ms"
    ": id=%(task_id)s message=%(message_id)s attempt=%(attempt)s"
)
LATE_LINE = LINE.replace(":", " after its push was given up:", 1)


class Outcome(enum.Enum):
    """How a delivery ended: a word, the level of its line, and the status that answers the push."""

    SUCCEEDED = ("succeeded", logging.INFO, 204)
    DISCARDED = ("discarded", logging.WARNING, 204)
    # Its effects are done; running it again would not make the result JSON.
    RESULT_NOT_JSON = ("result is not JSON", logging.ERROR, 204)
    FAILED = ("failed", logging.ERROR, 500)
    NO_LANE = ("not started in time", logging.WARNING, 503)
    NO_DATABASE = ("found its database out of reach", logging.ERROR, 503)
    INTERRUPTED = ("was interrupted", logging.WARNING, 503)  # or nobody is left to answer
    TIMED_OUT = ("timed out", logging.ERROR, 504)

    def __init__(self, word: str, level: int, status: int) -> None:
        self.word = word
        self.level = level
        self.status = status

    @property
    def is_failure(self) -> bool:
        """Whether spans and figures show an error. Discard is what the task wanted."""
        return self not in (Outcome.SUCCEEDED, Outcome.DISCARDED)

    @property
    def is_acknowledged(self) -> bool:
        """Whether Pub/Sub takes the status as an acknowledgement."""
        return self.status == 204


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delivery:
    """One push of one message, authenticated and matched to its route."""

    route: TaskRoute
    message: TaskMessage
    message_id: str
    subscription: str  # projects/PROJECT/subscriptions/NAME
    attributes: Mapping[str, str]
    attempt: int
    received: float  # by the loop's clock, which is the monotonic one, in seconds
    options: BackendOptions
    backend: str  # the alias
    sender: type[Any]  # of Django's signals

    @property
    def deadline(self) -> float:
        """When the push has to be answered, by the loop's clock."""
        return self.received + self.route.deadline

    @property
    def fields(self) -> dict[str, str | int]:
        """What tells it from others in the log."""
        return {
            "task_name": self.route.name,
            "task_id": self.message.task_id,
            "message_id": self.message_id,
            "attempt": self.attempt,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What execute() tells of a delivery."""

    outcome: Outcome
    result: Any = None


def tell(
    delivery: Delivery, report: Report, error: BaseException | None = None, *, late: bool = False
) -> None:
    """Write the delivery's one line and count it. Late: its push was given up before."""
    seconds = time.monotonic() - delivery.received
    outcome = report.outcome
    if logger.isEnabledFor(outcome.level):
        _log(delivery, report, seconds, error, late)
    if (listener := listening.get()) and not late:
        listener(delivery, report, error.error if isinstance(error, TracebackCut) else error)
    if not late:
        metrics.count_delivery(
            subscription=delivery.subscription,
            outcome=outcome.word,
            seconds=seconds,
            error_type=_error_type(outcome, error),
        )


def _log(
    delivery: Delivery, report: Report, seconds: float, error: BaseException | None, late: bool
) -> None:
    outcome = report.outcome
    fields: dict[str, Any] = {
        **delivery.fields,
        "duration_ms": round(seconds * 1000),
        "outcome": outcome.word,
    }
    line = LATE_LINE if late else LINE
    if delivery.options.log_results and report.result is not None:
        fields["result"] = json.dumps(report.result)[:RESULT_CHARACTERS]
        line += " result=%(result)s"
    # As logger.log() does, which would first look for its caller.
    place = _log.__code__
    record = logger.makeRecord(
        name=logger.name,
        level=outcome.level,
        fn=place.co_filename,
        lno=place.co_firstlineno,
        msg=line,
        args=(fields,),
        exc_info=(type(error), error, error.__traceback__) if error else None,
        func=place.co_name,
    )
    record.__dict__.update(fields)
    logger.handle(record)


def _error_type(outcome: Outcome, error: BaseException | None) -> str:
    if not outcome.is_failure:
        return ""
    return metrics.type_of(error) if error else outcome.word


# Who is told as well, of the deliveries in its context: a test.
listening: ContextVar[Callable[[Delivery, Report, BaseException | None], None] | None] = ContextVar(
    "asgi_tasks.listening", default=None
)
