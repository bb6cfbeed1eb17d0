import json
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from asgi_tasks.backends import require_backend
from asgi_tasks.conf import BackendOptions
from asgi_tasks.exceptions import ProvisioningError
from asgi_tasks.management.arguments import LONGEST, number_from
from asgi_tasks.management.output import PrintingCommand
from asgi_tasks.management.status import Problem, State, Status, problems, read
from asgi_tasks.management.tables import duration, table
from asgi_tasks.provisioning import PubSubAdmin, reporting
from asgi_tasks.provisioning.backlogs import Source, find_source

UNKNOWN, NEEDS_A_PERSON = 1, 2  # exit statuses
MAX_AGE = 1800  # with the default delays, eight failures in a row


class Command(PrintingCommand):
    """What is stuck, why, and since when."""

    help = (
        "Show what Pub/Sub holds for each task: whether it is there and as its route says, paused, "
        "how many messages wait and for how long; and the dead letters. Exits with 2 if something "
        "needs a person, with 1 if that could not be found out. Changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--max-age",
            type=number_from(float, 0),
            default=MAX_AGE,
            metavar="SECONDS",
            help=f"a message that waits for longer needs a person ({MAX_AGE})",
        )
        parser.add_argument(
            "--no-backlog",
            action="store_true",
            help="do without the backlogs and dead letters: ask Pub/Sub alone",
        )
        parser.add_argument(
            "--timeout",
            type=number_from(float, 0.1, LONGEST),
            default=20,
            metavar="SECONDS",
            help="that one call may take, repeats included (20)",
        )
        parser.add_argument("--json", action="store_true", help="print JSON, times in seconds")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            status = self._read(options)
        except (ProvisioningError, ImproperlyConfigured) as error:
            if options["json"]:
                self.stdout.write(json.dumps(reporting.error_json(error), indent=2))
            raise CommandError("\n".join(reporting.failure_lines(error))) from error
        found = list(problems(status, options["max_age"]))
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(status, found), indent=2))
        elif options["verbosity"]:
            self.stdout.write("\n".join(_lines(status, found)))
        _conclude(status, found)

    def source(self, options: BackendOptions, *, timeout: float) -> Source:
        """Who knows the backlogs."""
        return find_source(options.project_id, timeout=timeout)

    def _read(self, options: dict[str, Any]) -> Status:
        routes, timeout = require_backend().routes, options["timeout"]
        backend = routes.options
        source = None if options["no_backlog"] else self.source(backend, timeout=timeout)
        with PubSubAdmin(
            backend.project_id, push_account=backend.push_service_account, timeout=timeout
        ) as admin:
            return read(routes, admin, source)


def _conclude(status: Status, found: Sequence[Problem]) -> None:
    """Raise what makes the exit status."""
    if found:
        needs = "thing needs" if len(found) == 1 else "things need"
        raise CommandError(f"{len(found)} {needs} a person.", returncode=NEEDS_A_PERSON)
    if status.failure:
        raise CommandError("\n".join(reporting.failure_lines(status.failure)), returncode=UNKNOWN)
    if status.source and not status.is_known:
        raise CommandError(f"{status.source.name} tells no backlog at all.", returncode=UNKNOWN)


def _lines(status: Status, found: Sequence[Problem]) -> Iterator[str]:
    yield f"{status.project}, environment {status.environment}"
    yield from table(("name", "state", "messages", "oldest"), [_cells(s, status) for s in status])
    yield from _notes(status)
    if status.failure and found:
        yield ""
        yield from reporting.failure_lines(status.failure)
    yield from _problem_lines(found)


def _problem_lines(found: Sequence[Problem]) -> Iterator[str]:
    """Those that are alike together."""
    alike = defaultdict(list)
    for problem in found:
        alike[problem.text, problem.command].append(problem.name)
    for (text, command), names in alike.items():
        yield ""
        yield f"{', '.join(names)}: {text}"
        yield f"    {command}"


def _cells(state: State, status: Status) -> tuple[str, ...]:
    name = f"{state.name} ({state.alias_of})" if state.alias_of else state.name
    if state.backlog:
        oldest = duration(state.backlog.oldest) if state.messages else "-"
        return name, state.words, f"{state.messages:,}", oldest
    unknown = "?" if state.has_subscription and status.source else "-"
    return name, state.words, unknown, unknown


def _notes(status: Status) -> Iterator[str]:
    if status.source and (as_of := status.as_of):
        yield f"The messages are those of {as_of:%Y-%m-%d %H:%M:%S} UTC, by {status.source.name}."
    if status.uncounted:
        names = ", ".join(state.name for state in status.uncounted)
        yield f"No figures, which is usual if they are new or not used: {names}."


def _as_json(status: Status, found: Sequence[Problem]) -> dict[str, Any]:
    failure = reporting.error_json(status.failure) if status.failure else None
    return {
        "project": status.project,
        "environment": status.environment,
        "tasks": [_state_json(state) for state in status.tasks],
        "left_over": [_state_json(state) for state in status.left_over],
        "dead_letters": _state_json(status.dead_letters),
        "backlogs": {
            "source": status.source.name if status.source else None,
            "as_of": status.as_of.isoformat() if status.as_of else None,
            "failure": failure,
        },
        "problems": [
            {"name": one.name, "problem": one.text, "command": one.command} for one in found
        ],
    }


def _state_json(state: State) -> dict[str, Any]:
    return {
        "name": state.name,
        "alias_of": state.alias_of,
        "topic": state.topic,
        "subscription": state.subscription,
        "has_topic": state.has_topic,
        "has_subscription": state.has_subscription,
        "paused_since": state.paused_since or None,
        "drift": list(state.drift),
        "messages": state.backlog.messages if state.backlog else None,
        "oldest": state.backlog.oldest if state.backlog else None,
    }
