"""
What pages feel of tasks that run in their process: ``python -m bench.pages``.

One server process, asked for two pages in turn, twenty times a second: an async view, and a sync
view with a query. Beside them another process sends signed pushes. Each kind of push is measured
in each round, the rounds one after the other, so that a noisy moment hits all of them.
"""

import asyncio
import http.client
import itertools
import json
import multiprocessing
import signal
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp

from asgi_tasks.management.arguments import number_from
from bench.arguments import Parser, rounds, run
from bench.emulator import spread
from tests.processes import python
from tests.reliability.serving import SETTINGS, push_headers, push_of, serving
from tests.tokens import CertificatesServer, Signer

CONCURRENCY = 200  # --concurrency of docs/how-to/deploy.md
MOST = 50  # pushes under way at a given rate
A_SECOND = 20  # pages
PAGES = ("/async-page/", "/sync-page/")


class Load(NamedTuple):
    """Pushes of one task: so many under way at any time, or so many a second."""

    task: str
    argument: float
    under_way: int = 0
    a_second: int = 0


LOADS = {
    "none": None,
    "100 coroutines under way, each waits 2 s": Load("wait", 2, under_way=100),
    "200 coroutines under way, each waits 2 s": Load("wait", 2, under_way=CONCURRENCY),
    "100 sync tasks under way, each a query and 0.1 s": Load("query_sync", 0.1, under_way=100),
    "200 sync tasks under way, each a query and 0.1 s": Load(
        "query_sync", 0.1, under_way=CONCURRENCY
    ),
    "20 coroutines a second that compute for 5 ms": Load("spin", 5, a_second=20),
    "50 coroutines a second that compute for 5 ms": Load("spin", 5, a_second=50),
    "2 sync tasks a second that compute for 100 ms": Load("spin_sync", 100, a_second=2),
}


def main():
    parser = Parser(prog="bench.pages", description=__doc__.strip().splitlines()[0])
    parser.add_argument(
        "--seconds", type=number_from(int, 1), default=6, help="of each measurement (%(default)s)"
    )
    parser.add_argument("--rounds", type=rounds, default=5)
    options = parser.parse_args()
    with serving_site() as (served, headers):
        measured = {name: [] for name in LOADS}
        for _ in range(options.rounds):
            for name, load in LOADS.items():
                with pushing(served.endpoint, headers, load):
                    measured[name].append(visit(served.port, options.seconds))
    json.dump({name: figures(rounds) for name, rounds in measured.items()}, sys.stdout, indent=2)
    sys.stdout.write("\n")


@contextmanager
def serving_site():
    """The site of the reliability tests, with a database of a hundred users."""
    signer = Signer()
    certificates = CertificatesServer(signer.by_key)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = {"DATABASE_URL": f"sqlite:///{folder}/db.sqlite3"}
        python("-c", FILL, env={"DJANGO_SETTINGS_MODULE": SETTINGS, **env})
        with serving(folder, TESTS_CERTS_URL=certificates.url, **env) as served:
            yield served, dict(h.split(": ", 1) for h in push_headers(served, signer))
    certificates.close()


FILL = """
import django; django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
User.objects.bulk_create(User(username=f"user {n}") for n in range(100))
"""


@contextmanager
def pushing(endpoint, headers, load):
    """Pushes come from another process, at their steady state."""
    if load is None:
        yield
        return
    ready = multiprocessing.Event()
    sender = multiprocessing.Process(target=send, args=(endpoint, headers, load, ready))
    sender.start()
    try:
        ready.wait()
        yield
    finally:
        sender.terminate()
        sender.join()


def send(endpoint, headers, load, ready):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started this, and ends it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run(send_pushes(endpoint, headers, load, ready))


async def send_pushes(endpoint, headers, load, ready):
    under_way = asyncio.Semaphore(load.under_way or MOST)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def push():
            async with session.post(endpoint, data=push_of(load.task, load.argument)) as response:
                assert response.status == 204, response.status
            under_way.release()

        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                await under_way.acquire()
                group.create_task(push())
                if load.a_second:
                    await asyncio.sleep(1 / load.a_second)
                elif number < load.under_way:  # or all would go in step
                    await asyncio.sleep(2 / load.under_way)
                if number == load.under_way:
                    ready.set()


def visit(port, seconds):
    """The milliseconds of each visit, by page, from the moment it was due."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times, began = {page: [] for page in PAGES}, time.monotonic()
    for number in range(seconds * A_SECOND):
        due, page = began + number / A_SECOND, PAGES[number % len(PAGES)]
        time.sleep(max(0, due - time.monotonic()))
        connection.request("GET", page)
        response = connection.getresponse()
        assert response.read().startswith(b"<!doctype html>")
        times[page].append(1000 * (time.monotonic() - due))
    connection.close()
    return times


def figures(rounds):
    return {
        page: {
            "median_ms": spread([statistics.median(times[page]) for times in rounds]),
            "99th_ms": spread([statistics.quantiles(times[page], n=100)[98] for times in rounds]),
        }
        for page in PAGES
    }


if __name__ == "__main__":
    run(main)
