import inspect
import json
from argparse import ArgumentParser
from traceback import extract_tb
from typing import Any

from django.core.management.base import CommandError
from django.utils.json import normalize_json

from asgi_tasks.exceptions import Discard
from asgi_tasks.management.arguments import LONGEST, number_from
from asgi_tasks.management.calling import Call, CallCommand
from asgi_tasks.management.running import Overran, run

INTERRUPTED = 130  # as shells have it of what SIGINT ends


class Command(CallCommand):
    """Run a task here and now."""

    help = (
        "Run a task in this process, without a broker, and print what it returns as JSON. "
        "Exits with 1 if it raises; --traceback shows where."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--timeout",
            type=number_from(float, 0.001, LONGEST),
            metavar="SECONDS",
            help="stop it after so long; without this it may take as long as it likes",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        call, timeout = self.read_call(options), options["timeout"]
        try:
            value = run(call, timeout)
        except KeyboardInterrupt as error:
            said = f"{call.name} was interrupted."
            raise CommandError(said, returncode=INTERRUPTED) from error
        except Overran as error:
            raise CommandError(f"{call.name} ran for more than {timeout:g} s.") from error
        except BaseException as error:  # CancelledError and BaseExceptionGroup too
            raise CommandError(_told(call, error)) from error
        self.stdout.write(_as_json(call, value))


def _told(call: Call, error: BaseException) -> str:
    """What it raised and where, in a line."""
    try:
        said, *more = str(error).splitlines() or [""]
    except Exception as failure:  # an error may fail to show itself
        said, more = f"which cannot be shown: {type(failure).__name__}", []
    kind = type(error).__name__ + (f": {said}" if said else "") + (" [...]" if more else "")
    if isinstance(error, Discard) or (call.route and call.route.discards(error)):
        return f"{call.name} was discarded, and would not be delivered again: {kind}"
    return f"{call.name} failed: {kind} ({_place(call, error)}; --traceback shows more)"


def _place(call: Call, error: BaseException) -> str:
    """The last line of the task's own file that was running."""
    frames = extract_tb(error.__traceback__)
    own = inspect.unwrap(call.task.func).__code__.co_filename
    last = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])
    return f"{last.filename}:{last.lineno}"


def _as_json(call: Call, value: Any) -> str:
    try:
        return json.dumps(normalize_json(value), allow_nan=False)
    except Exception as error:  # whatever the value's own methods raise
        reason = f"{type(error).__name__}: {error}"
        raise CommandError(f"{call.name} ran, but its result is not JSON: {reason}") from error
