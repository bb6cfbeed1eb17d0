"""What an emulator can be started with."""

import argparse
from collections.abc import Sequence
from typing import Any, Final, NoReturn, TypedDict

from .errors import EmulatorError


class EmulatorOptions(TypedDict, total=False):
    """As on its command line; two defaults are other ones, to suit tests."""

    time_factor: float  # multiplies retry delays and push backoff; 0.01: 10 s are a tenth of one
    push_window: int  # pushes of a subscription under way at first; 1000: no slow start
    project: str  # of names that are not written in full
    enforce_iam: bool  # forward dead letters only if Pub/Sub's service agent has its two roles
    rotate_keys: float  # seconds after which tokens are signed with a new key
    faults: Sequence[str]  # "push.fail:rate=0.1"
    seed: int  # of the faults' dice


DEFAULTS: Final = EmulatorOptions(time_factor=0.01, push_window=1000)


def command_line(options: EmulatorOptions) -> list[str]:
    """The arguments of ``python -m asgi_tasks.emulator``. Raise TypeError for unknown options."""
    if unknown := sorted(options.keys() - EmulatorOptions.__annotations__.keys()):
        known = ", ".join(EmulatorOptions.__annotations__)
        raise TypeError(f"{unknown[0]!r} is not an option of the emulator: {known}")
    arguments = ["--port=0"]
    for name, value in {**DEFAULTS, **options}.items():
        arguments += _arguments(name, value)
    return arguments


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """What the command line makes of them. Raise EmulatorError if they are wrong."""
    from asgi_tasks.emulator import cli

    parser = _Parser()
    cli.add_arguments(parser)
    return vars(parser.parse_args(arguments))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise EmulatorError(message)


def _arguments(name: str, value: Any) -> list[str]:
    match name:
        case "faults":
            return [f"--fault={fault}" for fault in value]
        case "enforce_iam":
            return ["--enforce-iam"] if value else []
        case _:
            return [] if value is None else [f"--{name.replace('_', '-')}={value}"]
