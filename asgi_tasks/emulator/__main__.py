"""
``python -m asgi_tasks.emulator``: a development tool. Everything is in memory and gone when it
stops, nobody is asked who they are, and it is not Google's Pub/Sub, which is for production.
"""

import argparse
import asyncio
import logging
import math
import signal
import sys
from collections.abc import Sequence

DESCRIPTION = """Pub/Sub on a laptop, for development only: everything is in memory and gone when
it stops, and there is no authentication. Set PUBSUB_EMULATOR_HOST to the printed host and port."""


def main(argv: Sequence[str] | None = None) -> int:
    # Before the slow imports, so that a signal during them ends as cleanly as a later one.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    options = _parser().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("asgi_tasks.emulator").setLevel(
        logging.INFO if options.verbose else logging.WARNING
    )
    return asyncio.run(_run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m asgi_tasks.emulator", description=DESCRIPTION)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=8085, help="port; 0 takes a free one (%(default)s)"
    )
    parser.add_argument(
        "--time-factor",
        type=_factor,
        default=1.0,
        metavar="X",
        help="multiplies the retry delays: 0.01 makes 10 s a tenth of one (%(default)s)",
    )
    parser.add_argument("--verbose", action="store_true", help="log every push to stderr")
    return parser


def _factor(text: str) -> float:
    factor = float(text)
    if not (factor > 0 and math.isfinite(factor)):
        raise argparse.ArgumentTypeError("must be more than 0")
    return factor


async def _run(options: argparse.Namespace) -> int:
    from asgi_tasks.emulator.server import emulator

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with emulator(
            host=options.host, port=options.port, time_factor=options.time_factor
        ) as port:
            _announce(options.host, port)
            await stop.wait()
    except OSError as error:
        sys.stderr.write(f"asgi_tasks emulator: {options.host}:{options.port}: {error.strerror}\n")
        return 1
    return 0


def _announce(host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"asgi_tasks emulator: listening on http://{shown}:{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
