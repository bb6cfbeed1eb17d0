"""The emulator's command line: for ``python -m asgi_tasks.emulator`` and ``pubsub_emulator``."""

import argparse
import asyncio
import logging
import math
import os
import re
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asgi_tasks.emulator.broker.faults import Kind, parse_fault
from asgi_tasks.emulator.errors import InvalidArgument

if TYPE_CHECKING:
    from asgi_tasks.emulator.server import Options

DESCRIPTION = """Pub/Sub on a laptop, for development only: everything is in memory and gone when
it stops, and there is no authentication. Set PUBSUB_EMULATOR_HOST to the printed host and port."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_place(parser)
    _add_behaviour(parser)
    _add_faults(parser)
    parser.add_argument("--verbose", action="store_true", help="log every push to stderr")


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8085, help="port; 0 takes a free one (%(default)s)"
    )
    parser.add_argument(
        "--project",
        type=_project,
        default=os.environ.get("PUBSUB_PROJECT_ID", "emulator-project"),
        help="the project of names that are not written in full ($PUBSUB_PROJECT_ID, or "
        "emulator-project)",
    )


def _add_behaviour(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--time-factor",
        type=_factor,
        default=1.0,
        metavar="X",
        help="multiplies retry delays, push backoff and the wait of an empty pull: 0.01 makes 10 s "
        "a tenth of one (%(default)s)",
    )
    parser.add_argument(
        "--push-window",
        type=_whole,
        default=5,
        metavar="N",
        help="pushes of a subscription under way at first; it widens as they are acknowledged "
        "(%(default)s)",
    )
    parser.add_argument(
        "--rotate-keys",
        type=_factor,
        metavar="SECONDS",
        help="sign tokens with a new key every so often (never)",
    )
    parser.add_argument(
        "--enforce-iam",
        action="store_true",
        help="forward dead letters only if Pub/Sub's service agent has its two roles",
    )


def _add_faults(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fault",
        type=_known_fault,
        action="append",
        default=[],
        dest="faults",
        metavar="KIND[:NAME=VALUE,...]",
        help="make things go wrong: push.fail:rate=0.1 or publish.error:status=429,count=3; "
        f"kinds: {', '.join(Kind)}; names: rate, count, status, seconds, resource",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of the faults' dice (another each time)"
    )


def run(arguments: dict[str, Any]) -> int:
    """Serve until SIGTERM or SIGINT; 1 if the port cannot be had."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", level=logging.WARNING)
    level = logging.INFO if arguments["verbose"] else logging.WARNING
    logging.getLogger("asgi_tasks.emulator").setLevel(level)
    return asyncio.run(_run(arguments))


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not (factor > 0 and math.isfinite(factor)):
        raise argparse.ArgumentTypeError("must be more than 0")
    return factor


def _project(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.:-]*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not the id of a project")
    return text


def _known_fault(text: str) -> str:
    """The project, which a short name needs, may come later on the command line."""
    try:
        parse_fault(text, "project")
    except InvalidArgument as error:
        raise argparse.ArgumentTypeError(error.message) from None
    return text


def options_from(arguments: Mapping[str, Any]) -> "Options":
    """The options of the server, of what the parser returned."""
    from asgi_tasks.emulator.broker.model import Timing
    from asgi_tasks.emulator.server import Options

    same = ("host", "port", "project", "enforce_iam", "rotate_keys", "seed")
    return Options(
        timing=Timing(factor=arguments["time_factor"], push_window=arguments["push_window"]),
        faults=[parse_fault(text, arguments["project"]) for text in arguments["faults"]],
        **{name: arguments[name] for name in same},
    )


async def _run(arguments: dict[str, Any]) -> int:
    from asgi_tasks.emulator.server import CannotListen, emulator

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    options = options_from(arguments)
    try:
        async with emulator(options) as port:
            _announce(options.host, port)
            await stop.wait()
    except (CannotListen, InvalidArgument) as error:
        sys.stderr.write(f"asgi_tasks emulator: {error}\n")
        return 1
    return 0


def _announce(host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host or "localhost"
    sys.stdout.write(f"asgi_tasks emulator: listening on http://{shown}:{port}\n")
    sys.stdout.flush()
