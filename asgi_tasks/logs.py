"""Log lines for Google Cloud: one JSON object each, as Cloud Logging takes them from Cloud Run.

Needs the extra ``logs`` (python-json-logger). https://cloud.google.com/logging/docs/structured-logging
"""

import json
import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

try:
    from pythonjsonlogger.json import JsonFormatter
except ModuleNotFoundError as error:
    hint = "asgi_tasks.logs needs the extra `logs`: pip install 'asgi-tasks[logs]'"
    raise ModuleNotFoundError(hint, name=error.name) from error

from . import current, tracing
from .exceptions import TracebackCut

# Characters; Cloud Logging takes 256 KB a line.
LONGEST_TEXT: Final = 8_000
LONGEST_TRACEBACK: Final = 64_000
LONGEST_LINE: Final = 200_000
SEVERITIES: Final = {
    logging.CRITICAL: "CRITICAL",
    logging.ERROR: "ERROR",
    logging.WARNING: "WARNING",
    logging.INFO: "INFO",
    logging.DEBUG: "DEBUG",
}
TRACE: Final = "logging.googleapis.com/trace"
SPAN: Final = "logging.googleapis.com/spanId"
SAMPLED: Final = "logging.googleapis.com/trace_sampled"

type ExcInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


def cloud_logging(
    project_id: str, *, level: str = "INFO", loggers: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The setting LOGGING of a site on Cloud Run: JSON on stderr, one line a delivery.

    Standard output is left to commands, whose output others may read; Cloud Run takes both.

    Django's e-mails to ADMINS are off: Error Reporting groups errors and sends its own.
    ``level`` is the least that is shown; at "DEBUG" there is a line for each enqueue, too.
    ``loggers`` are more of LOGGING's loggers, or other ones than the two here.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"cloud": {"()": "asgi_tasks.logs.CloudFormatter", "project_id": project_id}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "cloud"},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Django's own handlers would repeat what the root logger shows.
            "django": {"handlers": [], "propagate": True},
            # Says in two lines what asgi_tasks says in one.
            "django.tasks": {"level": "CRITICAL"},
            **(loggers or {}),
        },
    }


class CloudFormatter(JsonFormatter):
    """A log record as a line of JSON with the fields that Google Cloud knows.

    severity, time, message, logger; stack_trace, as Error Reporting groups it; trace and spanId;
    what the record has as ``extra``; and, in a task and in all that it calls, its task_name,
    task_id, message_id and attempt. Lengths are bounded, and no record fails to be written.
    """

    def __init__(self, *, project_id: str) -> None:
        """``project_id`` is the project whose traces are meant."""
        super().__init__(json_serializer=_serialize)
        self._project_id = project_id

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        try:
            line = super().format(record)
        except Exception as error:  # what is logged may fail to show itself
            return _stand_in(record, type(error).__name__)
        if len(line) > LONGEST_LINE:  # JSON writes some characters with twelve
            line = json.dumps({name: _shorter(value) for name, value in json.loads(line).items()})
        return line if len(line) <= LONGEST_LINE else _stand_in(record, f"{len(line):,} characters")

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - logging's name
        """The traceback; the error's name alone if it fails to show itself."""
        if isinstance(ei[1], TracebackCut):
            return str(ei[1])
        try:
            return str(super().formatException(ei))
        except Exception as error:
            name = ei[0].__qualname__ if ei[0] else "error"
            return f"{name}, which cannot be shown: {type(error).__name__}"

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """What the line holds. Called by JsonFormatter."""
        found = self._found(record, message_dict)
        running = dict(current.fields())
        trace = str(running.pop("trace", ""))
        if found.get("task_id", running.get("task_id")) != running.get("task_id"):
            running = {}  # the line is of another task, such as one that is enqueued
        message = _cut(str(found.pop("message", "")), LONGEST_TEXT)
        ours = {"severity": _severity(record), "time": _time(record), "message": message}
        theirs = {name: _bounded(name, value) for name, value in {**running, **found}.items()}
        # Ours first, to be read; and once more, should somebody have given theirs such a name.
        log_data |= ours | theirs | ours
        log_data["logger"] = record.name
        log_data.update(self._trace(trace))

    def _found(self, record: logging.LogRecord, message_dict: dict[str, Any]) -> dict[str, Any]:
        """What the record tells, its traceback as Error Reporting calls it."""
        found = {"message": record.message, **message_dict}
        if "exc_info" in found:
            found["stack_trace"] = found.pop("exc_info")
        reserved = self.reserved_attrs
        return found | {
            name: value
            for name, value in record.__dict__.items()
            if name not in reserved and not str(name).startswith("_")
        }

    def _trace(self, of_push: str) -> dict[str, Any]:
        place, prefix = tracing.place(), f"projects/{self._project_id}/traces/"
        if place:
            return {
                TRACE: prefix + place.trace_id,
                SPAN: place.span_id,
                SAMPLED: place.is_sampled,
            }
        return {TRACE: prefix + of_push} if of_push else {}


def _severity(record: logging.LogRecord) -> str:
    if record.levelno in SEVERITIES:
        return SEVERITIES[record.levelno]
    reached = (level for level in SEVERITIES if record.levelno >= level)
    return SEVERITIES[next(reached, logging.DEBUG)]


def _serialize(fields: dict[str, Any], **options: Any) -> str:
    return _encode(fields)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat()


def _bounded(name: str, value: Any) -> Any:
    """The value as JSON has it, and not too long."""
    longest = LONGEST_TRACEBACK if name == "stack_trace" else LONGEST_TEXT
    if type(value) is str:
        return _cut(value, longest)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping | list | tuple):
        try:
            text = json.dumps(value, default=str, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            return _cut(str(value), longest)
        return json.loads(text) if len(text) <= longest else _cut(text, longest)
    return _cut(str(value), longest)


def _shorter(value: Any) -> Any:
    return _cut(value, LONGEST_TEXT) if isinstance(value, str) else value


def _cut(text: str, longest: int) -> str:
    """Both ends of a text that is too long."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[{len(text) - 2 * half:,} characters left out]\n{text[-half:]}"


def _stand_in(record: logging.LogRecord, why: str) -> str:
    where = f"{record.pathname}:{record.lineno}"
    message = f"What {record.name} logged at {where} cannot be shown: {why}"
    fields = {"severity": _severity(record), "time": _time(record), "logger": record.name}
    return json.dumps({**fields, **current.fields(), "message": message})


_encode = json.JSONEncoder().encode  # the fields are what JSON has, see _bounded()
