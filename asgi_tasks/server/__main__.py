"""``python -m asgi_tasks.server gyrinx.asgi:application``"""

# First: it chooses Twisted's reactor.
from .server import LIMITS, Server  # isort:skip

import functools
import sys

import daphne.cli

from .channel import Limits


class CommandLineInterface(daphne.cli.CommandLineInterface):
    """Daphne's command line and two options more."""

    description = "Daphne with limits to what a client may send, and a graceful end."

    def __init__(self) -> None:
        super().__init__()
        self.parser.prog = "python -m asgi_tasks.server"
        self.parser.add_argument(
            "--max-body-bytes",
            type=int,
            default=LIMITS.size,
            help="the largest body of a request that is no push (%(default)s)",
        )
        self.parser.add_argument(
            "--body-timeout",
            type=float,
            default=LIMITS.seconds,
            help="seconds in which such a body has to arrive (%(default)s)",
        )
        self.parser.set_defaults(server_name="")

    def run(self, args: list[str]) -> None:
        """Serve until a signal comes."""
        options = self.parser.parse_args(args)
        self.server_class = functools.partial(
            Server,
            limits=Limits(options.max_body_bytes, options.body_timeout),
            logs_access=options.access_log is not None,  # Cloud Run keeps such a log itself
        )
        super().run(args)


if __name__ == "__main__":
    CommandLineInterface().run(sys.argv[1:])
