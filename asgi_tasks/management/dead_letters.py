"""What `dead_letters` prints."""

import base64
import json
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

from django.core.management.base import CommandError, OutputWrapper

from asgi_tasks.dead_letters import LEASE, Examined, Tally, refusal
from asgi_tasks.management.tables import table
from asgi_tasks.provisioning.reporting import count, failure_lines, progress_bar
from asgi_tasks.provisioning.resources import short

HEAD: Final = (
    *("message id", "task", "task id", "enqueued", "died", "attempts"),
    *("source subscription", "signature"),
)
SHOWN: Final = 20  # dead letters about to be discarded
FRESHNESS: Final = "40d"  # gcloud looks back one day; a message and its dead letter last 38
NOTHING: Final = (
    "What another reader holds is not seen: if one was killed, look again "
    f"{LEASE} seconds after that."
)

KEPT: Final = f"They are kept from other readers for up to {LEASE} seconds more."


class Stopped(KeyboardInterrupt):
    """A signal told the command to stop; ``args[0]`` is its number."""


@contextmanager
def stopping_by_signals() -> Iterator[None]:
    """Have SIGINT, SIGTERM and SIGHUP raise, so that leases are given back; then exit so."""
    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if is_main else ()
    before = {number: signal.signal(number, _stop) for number in numbers}
    try:
        yield
    except KeyboardInterrupt as stopped:
        number = stopped.args[0] if stopped.args else signal.SIGINT
        raise CommandError("Stopped.", returncode=128 + number) from stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def notice(subscription: str) -> str:
    """What reading means."""
    return (
        f"Reading {short(subscription)} under leases: meanwhile other readers do not see these "
        f"dead letters. What is left is given back at the end, or {LEASE} seconds after a kill."
    )


def as_row(one: Examined) -> dict[str, Any]:
    """What a list tells of a dead letter, as plain values; times are in UTC."""
    return {
        "message_id": one.letter.message_id,
        "task_name": one.task_name or None,
        "task_id": one.task_id or None,
        "enqueued_at": _iso(one.enqueued_at),
        "died_at": _iso(one.letter.died_at),
        "delivery_attempts": one.letter.delivery_attempts,
        "source_subscription": one.letter.source_subscription or None,
        "signature": str(one.signature),
        "refusal": refusal(one) or None,
        "log_query": one.log_query,
    }


def as_document(one: Examined) -> dict[str, Any]:
    """All of it: the message's JSON if it is one, and the data in base64 as Pub/Sub has it."""
    return {
        **as_row(one),
        "attributes": dict(one.letter.attributes),
        "ordering_key": one.letter.ordering_key,
        "message": json.loads(one.letter.data) if one.message else None,
        "data": base64.b64encode(one.letter.data).decode(),
    }


def list_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table, and below each line of it the log query."""
    head, *lines = table(HEAD, [_cells(row) for row in rows])
    yield head
    for row, line in zip(rows, lines, strict=True):
        yield line
        yield f"    logs: {printable(row['log_query'])}"


def show_lines(one: Examined, project_id: str) -> Iterator[str]:
    """All of it, for people."""
    row = as_row(one)
    verdict = refusal(one)
    yield from _pairs(
        {
            **dict(zip(HEAD, _cells(row), strict=True)),
            "source subscription": printable(row["source_subscription"] or "-"),
            "replay": f"refused: {printable(verdict)}" if verdict else f"to {one.topic}",
            "logs": printable(one.log_query),
            "read them": log_command(one, project_id),
            "attributes": "",
        }
    )
    yield from _indented(dict(one.letter.attributes))
    yield "message" if one.message else "data, which is no message of ours"
    yield from _indented(json.loads(one.letter.data) if one.message else _text(one.letter.data))


def log_command(one: Examined, project_id: str) -> str:
    """What finds its errors, for a shell."""
    query = printable(one.log_query).replace("'", "'\\''")
    return f"gcloud logging read '{query}' --project={project_id} --freshness={FRESHNESS}"


def counted(rows: Iterable[dict[str, Any]]) -> str:
    """3 dead letters (2 send_receipt, 1 unreadable)"""
    tasks = Counter(row["task_name"] or "unreadable" for row in rows)
    told = ", ".join(f"{number:,} {name}" for name, number in tasks.most_common())
    return f"{letters(tasks.total())} ({told})" if tasks else letters(0)


def letters(number: int) -> str:
    """1 dead letter, 10,000 dead letters"""
    return count(number, "dead letter").replace(str(number), f"{number:,}", 1)


def refused_lines(tally: Tally) -> Iterator[str]:
    """One line for each dead letter that may not be replayed."""
    for one in tally.refused:
        name = one.task_name or "unreadable"
        yield f"{one.message_id} {name} is left: {printable(one.reason)}"


def failed_lines(tally: Tally) -> Iterator[str]:
    """Why publishing ended, and what that means for those that were under way."""
    for error in tally.failures:
        yield from failure_lines(error)
    if tally.unconfirmed:
        yield f"{letters(tally.unconfirmed)} may have been published all the same, and kept:"
        yield "    replayed again, their tasks may run twice."
    if tally.unacknowledged:
        yield f"{letters(tally.unacknowledged)} published but not acknowledged:"
        yield "    replayed again, their tasks run twice."
    if tally.untried:
        yield f"{letters(tally.untried)} for the same topics were not tried."


def replayed_line(tally: Tally) -> str:
    """What went well."""
    line = f"Replayed {letters(tally.replayed)}."
    if tally.copies:
        copies = f"{tally.copies:,} of them had the task id of another"
        return f"{line} {copies}: Pub/Sub may forward a message twice, and those tasks run twice."
    return line


def discarded_line(removed: int, total: int) -> str:
    """How many are gone for certain."""
    if removed == total:
        return f"Discarded {letters(removed)}."
    return f"Discarded {removed:,} of {letters(total)}. What is left is given back."


def printable(text: str) -> str:
    """What others wrote, without what a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Progress:
    """A bar on a terminal; elsewhere nothing."""

    def __init__(self, out: OutputWrapper, *, quiet: bool) -> None:
        self._out = out
        self._is_shown = out.isatty() and not quiet
        self._has_begun = False

    def __call__(self, done: int, total: int) -> None:
        if self._is_shown:
            self._has_begun = True
            self._out.write(f"\r{progress_bar(done, total)}", ending="")
            self._out.flush()

    def end(self) -> None:
        """Leave the bar's line."""
        if self._has_begun:
            self._out.write("")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["message_id"],
        row["task_name"] or "-",
        row["task_id"] or "-",
        row["enqueued_at"] or "-",
        row["died_at"],
        "-" if row["delivery_attempts"] is None else str(row["delivery_attempts"]),
        printable(short(row["source_subscription"] or "-")),
        row["signature"],
    )


def _pairs(pairs: dict[str, str]) -> Iterator[str]:
    width = max(map(len, pairs))
    return (f"{name.ljust(width)}  {value}".rstrip() for name, value in pairs.items())


def _indented(value: Any) -> Iterator[str]:
    # ASCII: what others wrote cannot colour the terminal.
    return (f"    {line}" for line in json.dumps(value, indent=2).splitlines())


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"base64: {base64.b64encode(data).decode()}"


def _iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
