"""
``python -m asgi_tasks.emulator``: a development tool. Everything is in memory and gone when it
stops, nobody is asked who they are, and it is not Google's Pub/Sub, which is for production.
"""

import argparse
import signal
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    # Before the slow imports, so that a signal during them ends as cleanly as a later one.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    from asgi_tasks.emulator import cli

    parser = argparse.ArgumentParser(
        prog="python -m asgi_tasks.emulator", description=cli.DESCRIPTION
    )
    cli.add_arguments(parser)
    return cli.run(vars(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
