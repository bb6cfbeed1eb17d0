"""
Load from a process of its own: ``python -m bench.load`` reads orders and answers with figures.

An order is a line of JSON; the requests are made before the clock starts. asyncio's bare protocols
send them, so that little of what is measured is the client's.
"""

import asyncio
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager


class Load:
    """The other process, as who measures sees it."""

    def __init__(self, process):
        self._process = process

    def send(
        self, port, path, make, count, *, connections=32, headers=None, ahead=True, **arguments
    ):
        """Send so many requests over so many connections; return how it went, as a dict.

        They are made ahead of the clock, or, for more than memory should hold, as they are sent.
        ``make`` is the dotted path of what makes their bodies, from a number and the arguments. The
        answer has ``seconds`` for all, ``statuses`` by how often, and of each request's time the
        ``median`` and the ``longest``.
        """
        order = {
            "port": port,
            "path": path,
            "make": make,
            "count": count,
            "connections": connections,
            "headers": headers or {},
            "ahead": ahead,
            "arguments": arguments,
        }
        assert self.ask(order) == "ready"
        return self.ask("go")

    def ask(self, word):
        """What it answers to a word or an order."""
        self._process.stdin.write(json.dumps(word) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the load's process has ended"
        return json.loads(line)


@contextmanager
def loading(module="bench.load", **variables):
    """A process that sends what it is told."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(
        command,
        env=os.environ | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for who measures
    ) as process:
        try:
            yield Load(process)
        finally:
            process.terminate()


def main():
    for line in sys.stdin:
        order = json.loads(line)
        requests = make_requests(order)
        if order["ahead"]:
            requests = iter(list(requests))
        answer("ready")
        sys.stdin.readline()
        connections = min(order["connections"], order["count"])
        answer(asyncio.run(send(order["port"], requests, connections)))


def answer(word):
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


def make_requests(order):
    module, _, name = order["make"].rpartition(".")
    make = getattr(importlib.import_module(module), name)
    lines = [f"POST {order['path']} HTTP/1.1", f"Host: 127.0.0.1:{order['port']}"]
    lines += [f"{name}: {value}" for name, value in order["headers"].items()]
    lines += ["Content-Type: application/json", "Content-Length: "]
    head = "\r\n".join(lines).encode()
    for number in range(order["count"]):
        body = make(number, **order["arguments"])
        yield head + str(len(body)).encode() + b"\r\n\r\n" + body


async def send(port, requests, connections):
    loop = asyncio.get_running_loop()
    times, statuses = [], {}
    made = [  # one after the other: Daphne's backlog is short
        await loop.create_connection(
            lambda: Sender(loop, requests, times, statuses), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    started = time.perf_counter()
    for _, sender in made:
        sender.send_next()
    await asyncio.gather(*(sender.done for _, sender in made))
    seconds = time.perf_counter() - started
    for transport, _ in made:
        transport.close()
    return {
        "seconds": seconds,
        "statuses": statuses,
        "median": statistics.median(times),
        "longest": max(times),
    }


class Sender(asyncio.Protocol):
    """One connection: the next request when the last is answered."""

    def __init__(self, loop, requests, times, statuses):
        self.done = loop.create_future()
        self._requests = requests
        self._times = times
        self._statuses = statuses
        self._received = b""

    def connection_made(self, transport):
        self._transport = transport

    def send_next(self):
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data):
        self._received += data
        if is_whole(self._received):
            self._times.append(time.perf_counter() - self._sent)
            status = self._received[9:12].decode()
            self._statuses[status] = self._statuses.get(status, 0) + 1
            self._received = b""
            self.send_next()

    def connection_lost(self, error):
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed the connection"))


def is_whole(received):
    """Whether this is a whole answer; they are small, and none follows before it is asked for."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    head = head.lower()
    if b"\r\ntransfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    _, found, length = head.partition(b"\r\ncontent-length:")
    return not found or len(body) >= int(length.split(b"\r\n")[0])


if __name__ == "__main__":
    main()
