import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from asgi_tasks.backends import require_backend
from asgi_tasks.exceptions import ProvisioningError
from asgi_tasks.management.output import PrintingCommand
from asgi_tasks.management.routes import deployed, describe
from asgi_tasks.management.tables import duration, table
from asgi_tasks.provisioning import reporting

HEAD = ("name", "kind", "ack deadline", "run", "attempts", "tried for", "task", "code", "topic")


class Command(PrintingCommand):
    """Show the task routes: what runs, where its code is, and how it is retried."""

    help = "Show the task routes: names, code, topics, deadlines and how long each is retried."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--live", action="store_true", help="beside them what Pub/Sub holds; changes nothing"
        )
        parser.add_argument("--json", action="store_true", help="print JSON, times in seconds")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            routes = require_backend().routes
            live = deployed(routes) if options["live"] else {}
        except (ProvisioningError, ImproperlyConfigured) as error:
            raise CommandError("\n".join(reporting.failure_lines(error))) from error
        rows = [describe(routes, route) for route in routes]
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(rows, live), indent=2))
        else:
            self.stdout.write("\n".join((*_lines(rows), *_live_lines(live))))


def _as_json(rows: Sequence[dict[str, Any]], live: dict[str, str]) -> Any:
    return {"routes": rows, "deployed": live} if live else {"routes": rows}


def _lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield from table(HEAD, [_cells(row) for row in rows])
    for row in rows:
        for alias, topic in row["aliases"].items():
            yield f"{alias} is an alias of {row['name']} ({topic})"
    for row in rows:
        if not row["signed"]:
            yield f"{row['name']} takes unsigned messages (signed=False)"


def _live_lines(live: dict[str, str]) -> Iterator[str]:
    if live:
        yield ""
        yield from table(("name", "deployed"), list(live.items()))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["name"],
        row["kind"],
        f"{row['ack_deadline']} s",
        f"{row['deadline']:g} s",
        f"{row['max_delivery_attempts']}",
        duration(row["retry_seconds"]),
        row["task"],
        row["code"],
        row["topic"],
    )
