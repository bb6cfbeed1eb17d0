"""PushEndpoint under fire: what it is given at random, and the promises it has to keep."""

import asyncio
import inspect
import logging
import random

from asgi_tasks.asgi import PushEndpoint

from . import mutations, tasks
from .corpus.cases import MEGABYTE
from .tasks import calls

STATUSES = {204, 400, 401, 403, 404, 405, 413, 415}


class Broken(AssertionError):
    """A promise about pushes does not hold."""


class Suspicions(logging.Handler):
    """What the library logs and should not: errors of its own, and what is not one plain line."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        line = record.getMessage()
        if record.levelno >= logging.ERROR or not line.isprintable():
            self.lines.append(line)


class Target:
    """PushEndpoint with the tasks of this folder, and the promises it has to keep."""

    def __init__(self, token):
        self._authorization = f"Bearer {token}"
        self._application = PushEndpoint(_no_page)
        self._suspicions = Suspicions()

    def __enter__(self):
        logging.getLogger("asgi_tasks").addHandler(self._suspicions)
        return self

    def __exit__(self, *_):
        logging.getLogger("asgi_tasks").removeHandler(self._suspicions)

    async def check(self, request, *, has_to_run=False):
        """Push a request; the status. Raise Broken if it, or what ran, is not as promised."""
        calls.clear()
        status = check_response(await self.push(request))
        if self._suspicions.lines:
            raise Broken(f"logged: {self._suspicions.lines[0]!r}")
        if status == 204:
            check_calls(calls, request)
        elif calls or has_to_run:
            raise Broken(f"{status}, and these ran: {calls}")
        return status

    async def push(self, request):
        """The messages that answer a request."""
        chunks, sent = iter(chunked(request.body, request.chunk)), []

        async def receive():
            for chunk in chunks:
                return chunk
            return await asyncio.get_running_loop().create_future()

        async def send(message):
            sent.append(message)

        await self._application(self._scope(request), receive, send)
        return sent

    def _scope(self, request):
        headers = {"authorization": self._authorization, "content-type": "application/json"}
        headers |= request.headers or {}
        return {
            "type": "http",
            "method": request.method,
            "path": "/tasks/pubsub/",
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in headers.items()],
        }


async def _no_page(scope, receive, send):
    raise Broken("a push was passed on to the site")


def chunked(body, size=None):
    """A body as ASGI messages, each with at most so many bytes."""
    size = size or len(body) + 1
    for start in range(0, len(body) + 1, size):
        more = start + size <= len(body)
        yield {"type": "http.request", "body": body[start : start + size], "more_body": more}


def check_response(sent):
    """The status of a response that is one start and one empty body."""
    if [message["type"] for message in sent] != ["http.response.start", "http.response.body"]:
        raise Broken(f"not one response: {sent}")
    if sent[1].get("body") or sent[1].get("more_body"):
        raise Broken("a body was answered")
    if sent[0]["status"] not in STATUSES:
        raise Broken(f"status {sent[0]['status']}")
    return sent[0]["status"]


def check_calls(calls, request):
    """Acknowledged: so it ran once, with the arguments that were signed."""
    message = request.message
    if message is None or (calls and calls[0][0] == "open_to_all"):
        message = mutations.data_of(request.body)  # whoever wrote it
    expected = expected_call(message)
    if repr(calls) != repr([expected]):
        raise Broken(f"acknowledged: {expected} was sent, and these ran: {calls}")


def expected_call(message):
    name = message["task_name"]
    bound = inspect.signature(getattr(tasks, name).func).bind(*message["args"], **message["kwargs"])
    bound.apply_defaults()
    return name, list(bound.args), bound.kwargs


async def run(target, seed, cases, *, first=0):
    """How often each status was answered, in so many cases."""
    statuses = {}
    for number in range(first, first + cases):
        chance = random.Random(f"{seed}/{number}")
        try:
            status = await target.check(mutations.hostile(chance))
            if number % 10 == 0:
                await target.check(mutations.good(chance), has_to_run=True)
        except Exception as error:
            raise Broken(f"case {number} of seed {seed}") from error
        statuses[status] = statuses.get(status, 0) + 1
    return statuses


async def flood(target, count):
    """So many malformed bodies of a megabyte, each wrong in another way."""
    bodies = [
        b"{" + b" " * MEGABYTE,
        b" " * MEGABYTE,
        b'{"x":"' + b"x" * MEGABYTE,
        b"[" * MEGABYTE,
        b"\xff" * MEGABYTE,
        b'{"message":{"data":"' + b"A" * MEGABYTE + b'"},"subscription":"x"}',
        b'{"x":[' + b"0," * (MEGABYTE // 2) + b"0]}",
        b'{"a":' * (MEGABYTE // 5),
    ]
    for number in range(count):
        body = bodies[number % len(bodies)]
        chunk = 65_536 if number % 3 else None
        status = check_response(await target.push(mutations.Request(body=body, chunk=chunk)))
        if status != 400:
            raise Broken(f"body {number % len(bodies)} was answered {status}")
