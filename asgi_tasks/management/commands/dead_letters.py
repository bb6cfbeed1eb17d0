import json
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from asgi_tasks.backends import require_backend
from asgi_tasks.dead_letters import (
    ACK_IDS,
    LEASE,
    DeadLetterBox,
    Examined,
    Refusal,
    Replay,
    Selection,
    Tally,
    complete_file,
    examine,
    refusal,
)
from asgi_tasks.exceptions import ProvisioningError
from asgi_tasks.management import dead_letters as texts
from asgi_tasks.management.dead_letter_arguments import add_actions, name_tasks, selection_from
from asgi_tasks.management.names import unknown_task
from asgi_tasks.management.output import PrintingCommand
from asgi_tasks.provisioning.reporting import failure_lines


class Command(PrintingCommand):
    """Look at the dead letters, and replay, discard or export them."""

    help = (
        "Look at the dead letters, and replay, discard or export them. Reading is pulling under "
        "leases: while this command looks, other readers do not see these dead letters. It gives "
        "back what it only looked at, also on Ctrl-C; if it is killed, its leases end "
        f"{LEASE} seconds later."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_actions(parser, self.help)

    def handle(self, *args: Any, **options: Any) -> None:
        selection = selection_from(options)
        try:
            self.table = require_backend().routes
            name_tasks(selection, self.table, options)
            self.box = DeadLetterBox(self.table)
            self._act(selection, options)
        except (ProvisioningError, ImproperlyConfigured) as error:
            raise CommandError("\n".join(failure_lines(error))) from error
        except OSError as error:
            raise CommandError(f"Could not write: {error}") from error

    def _act(self, selection: Selection, options: dict[str, Any]) -> None:
        try:
            with texts.stopping_by_signals():
                getattr(self, f"_{options['action']}")(selection, options)
        finally:
            if self.box.kept:
                self._warn([*failure_lines(self.box.kept), texts.KEPT])

    # Looking

    def _list(self, selection: Selection, options: dict[str, Any]) -> None:
        with self.box:
            rows = [texts.as_row(one) for one in self._read(selection, options)]
        rows.sort(key=lambda row: (row["died_at"], row["message_id"]))
        if options["json"]:
            self.stdout.write(json.dumps({"dead_letters": rows}, indent=2))
        elif rows:
            self.stdout.write("\n".join(texts.list_lines(rows)))
        if not options["json"]:
            self.stdout.write(f"{self._counted(rows)}{' Given back.' * bool(rows)}")

    def _show(self, selection: Selection, options: dict[str, Any]) -> None:
        with self.box:
            for number, one in enumerate(self._read(selection, options)):
                self._show_one(one, options, is_first=not number)

    def _show_one(self, one: Examined, options: dict[str, Any], *, is_first: bool) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(texts.as_document(one)))
            return
        lines = texts.show_lines(one, self.table.options.project_id)
        self.stdout.write("\n".join([*[""] * (not is_first), *lines]))

    def _export(self, selection: Selection, options: dict[str, Any]) -> None:
        written = 0
        if options["file"] == "-":
            with self.box:
                for line in self._lines(selection, options):
                    self.stdout.write(line)
                    written += 1
            self.stdout.flush()
        else:
            path = Path(options["file"])
            try:
                with complete_file(path, overwrite=options["overwrite"]) as file, self.box:
                    for line in self._lines(selection, options):
                        file.write(f"{line}\n")
                        written += 1
            except FileExistsError:
                raise CommandError(
                    f"{path} is there already. Replace it with --overwrite."
                ) from None
        self.stderr.write(f"Exported {texts.letters(written)}. Given back.", str)

    def _lines(self, selection: Selection, options: dict[str, Any]) -> Iterator[str]:
        return (json.dumps(texts.as_document(one)) for one in self._read(selection, options))

    # Repairing

    def _replay(self, selection: Selection, options: dict[str, Any]) -> None:
        resign = "".join(options["resign"] or [])  # one, or none
        if options["dry_run"]:
            self._rehearse(selection, resign, options)
            return
        progress = texts.Progress(self.stdout, quiet=not options["verbosity"])
        keys = self.table.options.signing_keys
        replay = Replay(self.box, keys, rate=options["rate"], report=progress)
        try:
            with self.box:
                replay.run(self._read(selection, options), resign=resign)
        finally:
            progress.end()
            self._warn(texts.refused_lines(replay.tally))
            self._warn(texts.failed_lines(replay.tally))
            self.stdout.write(texts.replayed_line(replay.tally))
        if not replay.tally.is_good:
            raise CommandError("Not every dead letter was replayed. What is left is given back.")

    def _rehearse(self, selection: Selection, resign: str, options: dict[str, Any]) -> None:
        rows, tally = [], Tally()
        with self.box:
            for one in self._read(selection, options):
                row = texts.as_row(one)
                if reason := refusal(one, resign=resign):
                    tally.refused.append(Refusal(row["message_id"], one.task_name, reason))
                else:
                    rows.append(row)
        self._warn(texts.refused_lines(tally))
        self.stdout.write(f"Would replay {texts.counted(rows)}. Nothing was changed.")
        if tally.refused:
            raise CommandError(f"{texts.letters(len(tally.refused))} would be left.")

    def _discard(self, selection: Selection, options: dict[str, Any]) -> None:
        with self.box:
            rows = [texts.as_row(one) for one in self._read(selection, options)]
            if rows:
                self.stdout.write("\n".join(texts.list_lines(rows[: texts.SHOWN])))
            if len(rows) > texts.SHOWN:
                self.stdout.write(f"and {len(rows) - texts.SHOWN:,} more")
            if options["dry_run"] or not rows:
                self.stdout.write(f"Would discard {texts.counted(rows)}. Nothing was changed.")
                return
            self.stdout.flush()  # nothing is removed that could not be shown
            if not options["no_input"]:
                _confirm(f"Discard {texts.counted(rows)} for good? [yes/no] ")
            self._remove([row["message_id"] for row in rows])

    def _remove(self, message_ids: Sequence[str]) -> None:
        removed = 0
        try:
            for some in batched(message_ids, ACK_IDS):
                self.box.acknowledge(some)
                removed += len(some)
        finally:
            self.stdout.write(texts.discarded_line(removed, len(message_ids)))

    # What they share

    def _read(self, selection: Selection, options: dict[str, Any]) -> Iterator[Examined]:
        """What was selected. Raise CommandError at the end if an id was not among them."""
        self.stderr.write(texts.notice(self.box.subscription), str)
        seen: set[str] = set()
        for letter in self.box.letters(options["limit"]):
            one = examine(letter, self.table)
            seen.add(one.task_name)
            if selection.matches(one):
                yield one
            if selection.is_complete:
                return
        if self.box.is_cut:
            self._warn([f"Stopped at --limit {options['limit']}: there are more dead letters."])
        if selection.missing:
            missing = ", ".join(map(texts.printable, selection.missing))
            raise CommandError(f"No dead letter has the id {missing}. {texts.NOTHING}")
        self._check_task(options.get("task"), seen)

    def _check_task(self, name: str | None, seen: set[str]) -> None:
        known = {each for route in self.table for each in route.names}
        if name is not None and name not in seen | known:
            raise CommandError(unknown_task(name, known))

    def _counted(self, rows: list[dict[str, Any]]) -> str:
        return f"{texts.counted(rows)}." if rows else f"No dead letters. {texts.NOTHING}"

    def _warn(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stderr.write(line)


def _confirm(question: str) -> None:
    try:
        answer = input(question)
    except EOFError:
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise CommandError("Nothing was discarded. Without a person to ask, give --no-input.")
