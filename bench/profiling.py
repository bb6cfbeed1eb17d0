"""
Where the time of a push or an enqueue goes: ``python -m bench.profiling [push]``.

In this process, without a server: pushes through the ASGI application as Daphne calls it, and
enqueues to the emulator in another process. cProfile makes calls dearer than they are, most of
all those of small functions, so each profile begins with the time that it takes without.
"""

import asyncio
import contextlib
import cProfile
import os
import pstats
import re
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

from asgi_tasks.management.arguments import number_from
from asgi_tasks.management.tables import number, table
from asgi_tasks.testing import emulator_process
from bench import bodies
from bench.arguments import Parser, run
from bench.emulator import put
from bench.servers import PUSH_PATH
from tests.tokens import CertificatesServer, Signer

ROUNDS = 5  # without the profiler
SERVICE = "http://127.0.0.1:8000"
AT_ONCE = {"push": 32, "enqueue": 500, "sync-enqueue": 1}
OF_ROWS = {
    **dict.fromkeys(("1", "2", "3"), "push"),
    **dict.fromkeys(("5", "6"), "enqueue"),
    "7": "sync-enqueue",
}
WAITING = re.compile(r"select\.(epoll|poll|kqueue)|method 'acquire' of '_thread\.lock'")
PACKAGE = re.compile(r"(?:site-packages|lib/python3\.\d+(?!/site-packages))/(\w+)")
ROOT = Path(__file__).parent.parent


def main(arguments=None):
    parser = Parser(prog="bench.profiling", description=__doc__.strip().splitlines()[0])
    parser.add_argument("kind", nargs="?", default="push", metavar="KIND_OR_ROW")
    parser.add_argument("--count", type=number_from(int, 1), default=4_000)
    parser.add_argument("--top", type=number_from(int, 1), default=30, help="(default: 30)")
    options = parser.parse_args(arguments)
    kind = OF_ROWS.get(options.kind, options.kind)
    if kind not in AT_ONCE:
        known = f"{', '.join(AT_ONCE)}, or rows {', '.join(OF_ROWS)}"
        parser.error(f"there is no profile of {options.kind!r}: there are {known}")
    with PREPARED[kind]() as run:
        plain, stats = profile(run, options.count)
    show(kind, options, plain, stats)


def profile(run, count):
    """The seconds of each round without the profiler, and what the profiler saw of one."""
    run(count)
    plain = [run(count) for _ in range(ROUNDS)]
    profiler = cProfile.Profile()
    run(count, profiler)
    return plain, pstats.Stats(profiler).stats


@contextlib.contextmanager
def pushes():
    """To bench.site's application, signed and authenticated, of a task that does nothing."""
    signer = Signer()
    with (
        contextlib.closing(CertificatesServer(signer.by_key)) as certificates,
        asyncio.Runner() as runner,
    ):
        with _setting_up(BENCH_SERVICE_URL=SERVICE, BENCH_CERTS_URL=certificates.url):
            from bench.site.asgi import application
        scope = _scope(signer.token(f"{SERVICE}{PUSH_PATH}"))

        async def push(body):
            statuses = []
            messages = iter([{"type": "http.request", "body": body}])

            async def receive():
                if (message := next(messages, None)) is not None:
                    return message
                return await asyncio.get_running_loop().create_future()

            async def send(message):
                statuses.append(message.get("status"))

            await asyncio.ensure_future(application(dict(scope), receive, send))
            assert statuses[0] == 204, statuses

        def run(count, profiler=None):
            made = [bodies.ours(each, task="nothing") for each in range(count)]
            return runner.run(_at_once(push, made, AT_ONCE["push"], profiler))

        yield run


@contextlib.contextmanager
def enqueues():
    """By aenqueue(), from many coroutines."""
    with _enqueuing() as task, asyncio.Runner() as runner:

        async def enqueue(_):
            await task.aenqueue()

        def run(count, profiler=None):
            return runner.run(_at_once(enqueue, range(count), AT_ONCE["enqueue"], profiler))

        yield run


@contextlib.contextmanager
def sync_enqueues():
    """By enqueue(), one after the other: what the publisher's own thread does counts, too."""
    with _enqueuing() as task:

        def run(count, profiler=None):
            with profiler or contextlib.nullcontext():
                started = time.perf_counter()
                for _ in range(count):
                    task.enqueue()
                return time.perf_counter() - started

        yield run


PREPARED = {"push": pushes, "enqueue": enqueues, "sync-enqueue": sync_enqueues}


async def _at_once(work, items, at_once, profiler):
    """The seconds that it takes to do all, so many at a time."""
    left = iter(items)

    async def some():
        for item in left:
            await work(item)

    with profiler or contextlib.nullcontext():
        started = time.perf_counter()
        await asyncio.gather(*(some() for _ in range(at_once)))
        return time.perf_counter() - started


@contextlib.contextmanager
def _enqueuing():
    with emulator_process() as emulator:
        os.environ["PUBSUB_EMULATOR_HOST"] = emulator.host
        with _setting_up():
            from bench.site.tasks import nothing
        put(f"{emulator.url}/v1/projects/{bodies.PROJECT}/topics/dev-tasks-nothing", {})
        yield nothing


@contextlib.contextmanager
def _setting_up(**variables):
    """Django, whose log is written, but to nowhere."""
    os.environ.update(DJANGO_SETTINGS_MODULE="bench.site.settings", **variables)
    import django

    nowhere = open(os.devnull, "w")  # noqa: PTH123, SIM115 - as long as the process
    with contextlib.redirect_stderr(nowhere):
        django.setup()
        yield


def _scope(token):
    headers = {
        "host": SERVICE.removeprefix("http://"),
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "content-length": "800",
    }
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": PUSH_PATH,
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ["127.0.0.1", 1],
        "server": ["127.0.0.1", 8000],
    }


def show(kind, options, plain, stats):
    each = [seconds / options.count * 1e6 for seconds in plain]
    say(f"{kind}: {options.count:,} in this process, without a server; {AT_ONCE[kind]} at a time")
    say(
        f"  {number(statistics.median(each))} µs each without the profiler "
        f"({number(min(each))} to {number(max(each))} in {ROUNDS} rounds); with it:"
    )
    shares = by_module(stats)
    working = sum(shares.values()) - shares["waiting"]
    rows = [
        (name, number(seconds / options.count * 1e6), f"{seconds / working:.0%}")
        for name, seconds in shares.most_common()
        if seconds > 0.005 * working and name != "waiting"
    ]
    say_table("own time by module, C functions with who calls them", "module", rows)
    say_table("own time", "function", by_function(stats, options, 0, working))
    say_table("with what they call", "function", by_function(stats, options, 1))


def by_module(stats):
    """The seconds spent in each module: C functions count as part of who calls them."""
    shares = Counter()
    for function, (_, _, own, _, callers) in stats.items():
        if WAITING.search(function[2]):
            shares["waiting"] += own
        elif function[0] == "~" and callers:
            for caller, (_, _, part, _) in callers.items():
                shares[module(caller)] += part
        else:
            shares[module(function)] += own
    return shares


def module(function):
    """Where a function is from: a package, or the interpreter."""
    path = function[0]
    if path.startswith(str(ROOT)) and "site-packages" not in path:
        return Path(path).relative_to(ROOT).parts[0]
    found = PACKAGE.search(path)
    return found[1] if found else "the interpreter"


def by_function(stats, options, column, whole=None):
    """The functions with the most time: 0 is their own, 1 that of what they call as well."""
    found = [item for item in stats.items() if not WAITING.search(item[0][2])]
    found.sort(key=lambda item: item[1][2 + column], reverse=True)
    for function, times in found[: options.top]:
        seconds, calls = times[2 + column], times[1] / options.count
        share = f"{seconds / whole:.0%}" if whole else ""
        yield f"{calls:.3g} x {name(function)}", number(seconds / options.count * 1e6), share


def name(function):
    path, line, title = function
    if path == "~":
        return title
    short = path.rpartition("site-packages/")[2].removeprefix(f"{ROOT}/")
    return f"{re.sub(r'.*/lib/python3\.\d+/', '', short)}:{line} {title}"


def say_table(title, head, rows):
    say(f"\n{title}:")
    for line in table((head, "µs each", "share"), list(rows)):
        say(f"  {line}")


def say(line):
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    run(main)
