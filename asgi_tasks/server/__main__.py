"""``python -m asgi_tasks.server gyrinx.asgi:application``"""

import os
import signal

if __name__ == "__main__":
    # While this starts: a container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))

# First: it chooses Twisted's reactor.
from .server import BODIES_BYTES, LIMITS, Server  # isort:skip

import argparse
import functools
import importlib
import math
import sys
from typing import Any, NoReturn

import daphne.cli
from django.core.exceptions import ImproperlyConfigured

from .channel import Limits

PROGRAM = "python -m asgi_tasks.server"


class CommandLineInterface(daphne.cli.CommandLineInterface):
    """Daphne's command line and three options more."""

    description = "Daphne with limits to what a client may send, and a graceful end."

    def __init__(self) -> None:
        super().__init__()
        self.parser.prog = PROGRAM
        self.parser.add_argument(
            "--max-body-bytes",
            type=_bytes,
            default=LIMITS.size,
            help="the largest body of a request that is no push (%(default)s)",
        )
        self.parser.add_argument(
            "--body-timeout",
            type=_seconds,
            default=LIMITS.seconds,
            help="seconds in which such a body has to arrive (%(default)s)",
        )
        self.parser.add_argument(
            "--max-bodies-bytes",
            type=_bytes,
            default=BODIES_BYTES,
            help="what all bodies of more than 64 KiB may hold together (%(default)s)",
        )
        self.parser.set_defaults(server_name="")

    def run(self, args: list[str]) -> None:
        """Serve until a signal comes."""
        options = self.parser.parse_args(args)
        self.server_class = functools.partial(
            Server,
            limits=Limits(options.max_body_bytes, options.body_timeout),
            max_bodies_bytes=options.max_bodies_bytes,
            logs_access=options.access_log is not None,  # Cloud Run keeps such a log itself
        )
        super().run(args)

    def load_asgi_app(self, asgi_app_path: str) -> Any:
        """The application. One line says so if the path leads nowhere."""
        path, _, name = asgi_app_path.partition(":")
        if not path or not name:
            _refuse(f"{asgi_app_path!r} is not like 'mysite.asgi:application'")
        try:
            module = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if not f"{path}.".startswith(f"{error.name}."):
                raise  # it is there, and imports what is not
            _refuse(f"there is no module {error.name!r}")
        except ImproperlyConfigured as error:
            _refuse(str(error))
        application = functools.reduce(_get, name.split("."), module)
        if application is None:
            _refuse(f"the module {path!r} has no {name!r}")
        return application


def _refuse(reason: str) -> NoReturn:
    sys.exit(f"{PROGRAM}: error: {reason}")


def _get(owner: Any, name: str) -> Any:
    return getattr(owner, name, None)


def _bytes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes, at least 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


if __name__ == "__main__":
    CommandLineInterface().run(sys.argv[1:])
