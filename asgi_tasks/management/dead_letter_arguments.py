"""What `dead_letters` may be told, and which dead letters that means."""

import re
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.core.management.base import CommandError

from asgi_tasks.dead_letters import Selection
from asgi_tasks.management.arguments import number_from
from asgi_tasks.routes import RouteTable

LIMIT: Final = 100_000
LONGEST: Final = 366 * 86_400  # seconds; Pub/Sub keeps nothing as long
_AGE: Final = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(s|m|min|h|d)", re.ASCII)
_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}


def add_actions(parser: ArgumentParser, about: str) -> None:
    """The subcommands; ``about`` is what holds for all of them."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, text: str) -> ArgumentParser:
        one = actions.add_parser(name, help=text, description=f"{text}. {about}")
        _add_django(one)
        one.add_argument(
            "--limit",
            type=number_from(int, 1),
            default=LIMIT,
            help=f"look at no more than so many ({LIMIT:,})",
        )
        return one

    listing = action("list", "list them, each with the log query that finds its errors")
    _add_filters(listing)
    listing.add_argument("--json", action="store_true", help="print JSON")

    showing = action("show", "show one with its arguments and attributes")
    showing.add_argument("id", metavar="ID", help="of the dead letter's message or its task")
    showing.add_argument("--json", action="store_true", help="print JSON, data in base64")

    _add_replay(action("replay", "publish them to their tasks' topics again"))
    _add_discard(action("discard", "remove them for good"))

    export = action("export", "write them to a file as JSON lines, and keep them")
    export.add_argument("file", metavar="FILE", help="where to; - is standard output")
    _add_filters(export)
    export.add_argument("--overwrite", action="store_true", help="replace a file that is there")


def selection_from(options: dict[str, Any]) -> Selection:
    """Which dead letters are meant. Raise CommandError if the options contradict each other."""
    resigned = options.get("resign") or []
    ids = [one for one in (*options.get("ids", ()), options.get("id"), *resigned) if one]
    before, after = options.get("older_than"), options.get("newer_than")
    is_filtered = any(one is not None for one in (options.get("task"), before, after))
    if ids and is_filtered:
        raise CommandError("Give ids, or --task, --older-than and --newer-than, not both.")
    if resigned and len(ids) != 1:
        raise CommandError("--resign is for exactly one dead letter: give its id and no others.")
    if options["action"] == "discard" and bool(ids or is_filtered) == options["all"]:
        raise CommandError(
            "Say what to discard: ids, --task, --older-than, --newer-than, or --all."
        )
    if before is not None and after is not None and before >= after:
        raise CommandError("Nothing is older than --older-than and newer than --newer-than.")
    now = datetime.now(UTC)
    return Selection(
        ids=frozenset(ids),
        died_before=None if before is None else now - before,
        died_after=None if after is None else now - after,
    )


def name_tasks(selection: Selection, table: RouteTable, options: dict[str, Any]) -> None:
    """Select the tasks of --task: a route and its aliases are one."""
    if name := options.get("task"):
        routes = [route for route in table if name in route.names]
        selection.tasks = frozenset({name}.union(*(route.names for route in routes)))


def age(text: str) -> timedelta:
    """For argparse: 90s, 15m, 2h or 3d."""
    found = _AGE.fullmatch(text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else LONGEST + 1
    if seconds > LONGEST:
        raise ArgumentTypeError(f"{text!r} is not an age. Write 90s, 15m, 2h or 3d.")
    return timedelta(seconds=seconds)


def rate(text: str) -> float:
    """For argparse: messages a second."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0.001 <= value <= 1e6:
        raise ArgumentTypeError(f"{text!r} is not a rate. Write messages a second, such as 50.")
    return value


def _add_filters(parser: ArgumentParser) -> None:
    parser.add_argument("--task", metavar="NAME", help="only this task's, its aliases' among them")
    for name, text in (("older", "died longer ago"), ("newer", "died since")):
        parser.add_argument(
            f"--{name}-than",
            type=age,
            metavar="AGE",
            help=f"only what {text}: 90s, 15m, 2h, 3d",
        )


def _add_replay(parser: ArgumentParser) -> None:
    parser.add_argument(
        "ids",
        metavar="ID",
        nargs="*",
        help="of messages or tasks; none: all that the filters leave",
    )
    _add_filters(parser)
    parser.add_argument(
        "--resign",
        metavar="ID",
        action="append",
        help="vouch for the dead letter with this message id, and sign it anew: exactly one",
    )
    parser.add_argument("--rate", type=rate, metavar="N", help="at most N messages a second")
    parser.add_argument("--dry-run", action="store_true", help="say what would happen")


def _add_discard(parser: ArgumentParser) -> None:
    parser.add_argument("ids", metavar="ID", nargs="*", help="of messages or tasks")
    _add_filters(parser)
    parser.add_argument("--all", action="store_true", help="all of them, whatever they are")
    parser.add_argument("--no-input", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="say what would happen")


def _add_django(parser: ArgumentParser) -> None:
    """The options of every command, which may stand behind the action as well."""
    for name in ("--settings", "--pythonpath"):
        parser.add_argument(name, default=SUPPRESS, help=SUPPRESS)
    for name in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        parser.add_argument(name, action="store_true", default=SUPPRESS, help=SUPPRESS)
    parser.add_argument(
        "-v", "--verbosity", type=int, choices=range(4), default=SUPPRESS, help=SUPPRESS
    )
