"""Standard output that may be full, or that nobody reads any more."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO

from django.core.management.base import BaseCommand, CommandError, OutputWrapper

PIPE_CLOSED: Final = 141  # as shells have it of what SIGPIPE ends


class Output(OutputWrapper):
    """Raises CommandError if it is full, and ends the command if nobody reads on."""

    is_full = False

    def write(  # type: ignore[override]
        self,
        msg: str = "",
        style_func: Callable[[str], str] | None = None,
        ending: str | None = None,
    ) -> None:
        """As Django's."""
        with self._explained():
            super().write(msg, style_func, ending)

    def flush(self) -> None:
        """As Django's."""
        with self._explained():
            super().flush()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise SystemExit(PIPE_CLOSED) from None
        except OSError as error:
            self.is_full = True
            said = f"Could not write to standard output: {error.strerror}."
            raise CommandError(said) from error


class PrintingCommand(BaseCommand):
    """A command that says in a line if it cannot print, and is quiet if nobody reads on."""

    stdout: Output

    def __init__(self, stdout: TextIO | None = None, *args: Any, **options: Any) -> None:
        super().__init__(stdout, *args, **options)
        self.stdout = Output(stdout or sys.stdout)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """As Django's, until all of it is written."""
        if stdout := options.pop("stdout", None):
            self.stdout = Output(stdout)
        try:
            result = super().execute(*args, **options)
        except CommandError as error:
            if not self.stdout.is_full:
                self._flush_after(error)
            raise
        self.stdout.flush()
        return result

    def run_from_argv(self, argv: list[str]) -> None:
        """As Django's, for a process of its own."""
        try:
            super().run_from_argv(argv)
        finally:
            _drop_unwritten()

    def _flush_after(self, error: CommandError) -> None:
        try:
            self.stdout.flush()
        except CommandError as failure:
            raise CommandError(f"{error}\n{failure}", returncode=error.returncode) from error


def _drop_unwritten() -> None:
    """What cannot be written would be tried, and told, once more when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
