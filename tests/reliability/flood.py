"""Strangers without a token who try to keep a server from its work.

``python -m tests.reliability.flood PORT SECONDS`` says "flooding" once all are connected, and at
the end, as JSON, how often the server answered what. It goes on until each kind got its answer, or
six times as long.
"""

import asyncio
import contextlib
import itertools
import json
import re
import resource
import statistics
import sys
from collections import Counter
from typing import NamedTuple

import aiohttp

from tests.processes import running

from .serving import LONG, PUSH_PATH, push_of

# How many connections do what.
STRANGERS = {
    "say_nothing": 800,
    "trickle_head": 400,
    "trickle_body": 400,
    "push": 396,
    "send_100_mb": 4,
}
A_SECOND = 50  # signed pushes beside them
EXPECTED = {"401", "408", "413"}
HOST = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = b"POST " + PUSH_PATH.encode() + HOST
CHUNK = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"


class Stranger:
    """One connection after another, each used for the same."""

    def __init__(self, kind, port, counts):
        self.connected = asyncio.Event()
        self._behave = getattr(self, kind)
        self._port = port
        self._counts = counts

    async def run(self):
        while True:
            with contextlib.suppress(OSError):
                await self._visit()
            self._counts["closed"] += 1

    async def _visit(self):
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.connected.set()
        behaving = asyncio.create_task(self._behave())
        try:
            while answer := await self._reader.read(65536):
                self._counts.update(re.findall(r"HTTP/1.1 (\d+) ", answer.decode()))
        finally:
            behaving.cancel()
            self._writer.close()

    async def say_nothing(self):
        pass

    async def trickle_head(self):
        self._writer.write(POST)
        await self._trickle(b"X-A: b\r\n")

    async def trickle_body(self):
        self._writer.write(POST + b"Content-Length: 1000000\r\n\r\n")
        await self._trickle(b"x" * 1000)

    async def push(self):
        await self._trickle(POST + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")

    async def send_100_mb(self):
        self._writer.write(b"POST / " + HOST.lstrip() + b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                self._writer.write(CHUNK)
                await self._writer.drain()

    async def _trickle(self, data):
        for number in itertools.count():
            self._writer.write(data)
            await asyncio.sleep(2 + number % 3 / 10)


async def flood(port, seconds):
    """How often the strangers got which status, or were hung up on."""
    counts = Counter()
    strangers = [Stranger(kind, port, counts) for kind, n in STRANGERS.items() for _ in range(n)]
    visits = [asyncio.create_task(stranger.run()) for stranger in strangers]
    await asyncio.gather(*(stranger.connected.wait() for stranger in strangers))
    print("flooding", flush=True)
    await asyncio.sleep(seconds)
    for _ in range(50):
        if not counts.keys() >= EXPECTED:
            await asyncio.sleep(seconds / 10)
    for task in visits:
        task.cancel()
    for ended in await asyncio.gather(*visits, return_exceptions=True):
        assert isinstance(ended, asyncio.CancelledError), ended
    return counts


@contextlib.contextmanager
def enough_files():
    """Room for the connections, here and in the processes that are started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * sum(STRANGERS.values())
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Siege(NamedTuple):
    """What became of pushes: the status and the seconds of each."""

    quiet: list  # without the strangers
    flooded: list  # beside them
    answers: dict  # how often the strangers got which status
    connections: int  # of theirs, at the end
    megabytes: float  # without them, the most so far
    megabytes_more: float
    megabytes_in_files: float  # at the end; on Cloud Run they are memory

    def lines(self):
        yield f"strangers had {self.connections} connections, and were answered {self.answers}"
        yield f"pushes without them: {describe(self.quiet)}"
        yield f"pushes beside them: {describe(self.flooded)}"
        yield f"memory: {self.megabytes:.0f} MB, {self.megabytes_more:.0f} MB more beside them"
        yield f"bodies in files: {self.megabytes_in_files:.0f} MB"


async def besiege(served, headers, seconds):
    """Push for so long beside the strangers; wait until the server has forgotten them."""
    headers = dict(header.split(": ", 1) for header in headers)
    await push_steadily(served, headers, 1)  # it imports, and fetches the certificates
    quiet = await push_steadily(served, headers, 3)
    megabytes, files = served.peak_megabytes, len(served.open_files())
    command = ("-m", "tests.reliability.flood", served.port, seconds + 1)
    with running(sys.executable, *command) as strangers:
        await asyncio.to_thread(strangers.wait_for, "flooding")
        flooded = await push_steadily(served, headers, seconds)
        spooled = served.spooled()
        connections = len(served.open_files()) - files - len(spooled)
        assert await asyncio.to_thread(strangers.wait, 10 * LONG) == 0
    await asyncio.to_thread(served.wait_until, lambda: len(served.open_files()) <= files)
    assert not served.spooled()
    answers = json.loads(strangers.output.splitlines()[-1])
    more = served.peak_megabytes - megabytes
    return Siege(quiet, flooded, answers, connections, megabytes, more, sum(spooled) / 1e6)


async def push_steadily(served, headers, seconds):
    """The status and the seconds of each push, sent at a steady rate whatever becomes of them."""
    loop = asyncio.get_running_loop()

    async def push(session):
        began = loop.time()
        async with session.post(served.endpoint, data=push_of("spin", 1)) as response:
            return response.status, loop.time() - began

    options = {
        "connector": aiohttp.TCPConnector(limit=0),
        "timeout": aiohttp.ClientTimeout(total=2 * LONG),
        "headers": headers,
    }
    async with aiohttp.ClientSession(**options) as session:
        began, pushes = loop.time(), []
        for number in range(seconds * A_SECOND):
            await asyncio.sleep(began + number / A_SECOND - loop.time())
            pushes.append(asyncio.create_task(push(session)))
        return await asyncio.gather(*pushes)


def describe(pushes):
    times = [1000 * seconds for _, seconds in pushes]
    median, last = statistics.median(times), statistics.quantiles(times, n=100)[98]
    return f"median {median:.0f} ms, 99th percentile {last:.0f} ms, most {max(times):.0f} ms"


if __name__ == "__main__":
    print(json.dumps(asyncio.run(flood(int(sys.argv[1]), float(sys.argv[2])))))
