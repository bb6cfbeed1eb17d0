import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from asgi_tasks.backends import require_backend
from asgi_tasks.exceptions import ProvisioningError
from asgi_tasks.management.arguments import LONGEST, number_from
from asgi_tasks.management.output import PrintingCommand
from asgi_tasks.provisioning import (
    Chain,
    Desired,
    Plan,
    PubSubAdmin,
    apply,
    desired,
    read_and_plan,
    reporting,
    service_agent,
)
from asgi_tasks.provisioning.applying import Outcomes
from asgi_tasks.routes import RouteTable

DRIFT = 2  # the exit status of --check


class Command(PrintingCommand):
    """Bring Pub/Sub to what the routes need."""

    help = (
        "Show how the topics, subscriptions and grants in Pub/Sub differ from what the task routes "
        "need, and change them. Run twice, it changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="show the plan, change nothing")
        parser.add_argument(
            "--check",
            action="store_true",
            help="change nothing; exit with 2 if something would have to be changed",
        )
        parser.add_argument(
            "--prune",
            action="store_true",
            help="retire what has no route any more, and delete it a week later",
        )
        parser.add_argument(
            "--force", action="store_true", help="with --prune: delete at once, messages and all"
        )
        parser.add_argument(
            "--verify-iam",
            action="store_true",
            help="read the policy of every subscription, not of those that change alone",
        )
        parser.add_argument(
            "--no-grants", action="store_true", help="leave the grants to somebody else, unchecked"
        )
        parser.add_argument(
            "--project-number",
            type=_digits,
            help="of the project, for the name of Pub/Sub's service agent (looked up)",
        )
        parser.add_argument(
            "--timeout",
            type=number_from(float, 0.1, LONGEST),
            default=60,
            help="seconds that one call may take, repeats included (60)",
        )
        parser.add_argument("--json", action="store_true", help="the plan and the outcome as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["force"] and not options["prune"]:
            raise CommandError("--force says how to prune: give it with --prune.")
        try:
            self._provision(require_backend().routes, options)
        except (ProvisioningError, ImproperlyConfigured) as error:
            if options["json"]:
                self._print_json(reporting.error_json(error))
            raise CommandError("\n".join(reporting.failure_lines(error))) from error

    def _provision(self, table: RouteTable, options: dict[str, Any]) -> None:
        wanted = desired(table, agent=_agent(table, options))
        backend = table.options
        with PubSubAdmin(
            backend.project_id,
            push_account=backend.push_service_account,
            timeout=options["timeout"],
        ) as admin:
            plan = read_and_plan(
                wanted,
                admin,
                datetime.now(UTC).date(),
                verify_iam=options["verify_iam"],
                prune=options["prune"],
                force=options["force"],
            )
            if options["check"] or options["dry_run"] or not len(plan):
                self._show(wanted, plan, options)
            else:
                self._change(wanted, plan, admin, options)

    def _show(self, wanted: Desired, plan: Plan, options: dict[str, Any]) -> None:
        if options["json"]:
            self._print_json(reporting.as_json(wanted, plan))
        else:
            self._print_plan(wanted, plan, options)
        if options["check"] and plan.unreadable:
            raise CommandError(reporting.unreadable(plan))
        if options["check"] and len(plan):
            message = f"Due: {reporting.count(len(plan), 'change')}. Run provision_tasks."
            raise CommandError(message, returncode=DRIFT)

    def _change(
        self, wanted: Desired, plan: Plan, admin: PubSubAdmin, options: dict[str, Any]
    ) -> None:
        quiet = options["json"] or not options["verbosity"]
        if not quiet:
            self._print_plan(wanted, plan, options)
        outcomes = apply(plan, admin, report=_Progress(self, plan, quiet=quiet))
        if options["json"]:
            self._print_json(reporting.as_json(wanted, plan, outcomes))
        self._conclude(outcomes, quiet=quiet)

    def _conclude(self, outcomes: Outcomes, *, quiet: bool) -> None:
        if not all(outcome.is_good for outcome in outcomes):
            _fail(reporting.summary_lines(outcomes))
        if not quiet:
            self.stdout.write(f"Done: {reporting.count(len(outcomes), 'change')}.")

    def _print_plan(self, wanted: Desired, plan: Plan, options: dict[str, Any]) -> None:
        if not options["verbosity"]:
            return
        self.stdout.write(reporting.headline(wanted, plan))
        for line in (*reporting.plan_lines(plan), *reporting.note_lines(plan)):
            self.stdout.write(line)

    def _print_json(self, document: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(document, indent=2))


class _Progress:
    """A line for each chain that is through; on a terminal, one bar."""

    def __init__(self, command: BaseCommand, plan: Plan, *, quiet: bool) -> None:
        self._out = command.stdout
        self._quiet = quiet
        self._done, self._total = 0, len(plan.chains)

    def __call__(self, chain: Chain, outcomes: Outcomes) -> None:
        self._done += 1
        if self._quiet:
            return
        if self._out.isatty():
            end = "\n" if self._done == self._total else ""
            self._out.write(f"\r{reporting.progress_bar(self._done, self._total)}", ending=end)
            self._out.flush()
        else:
            line = reporting.chain_line(chain, outcomes)
            self._out.write(f"[{self._done}/{self._total}] {line}")


def _agent(table: RouteTable, options: dict[str, Any]) -> str | None:
    if options["no_grants"]:
        return None
    return service_agent(table.options.project_id, options["project_number"])


def _digits(text: str) -> str:
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f"{text!r} is not a number: the project's number has digits only")
    return text


def _fail(lines: Iterable[str]) -> NoReturn:
    raise CommandError("\n".join(lines))
