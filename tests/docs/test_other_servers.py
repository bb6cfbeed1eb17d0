"""The how-to about other servers: what its table says of Uvicorn, by the command it shows."""

import asyncio
import contextlib
import re
import signal
import sys
from importlib.util import find_spec

import aiohttp
import pytest

from asgi_tasks.conf import parse_options
from tests.processes import ROOT, free_port, python, running, wait_until_listening
from tests.reliability.served.settings import TASKS
from tests.reliability.serving import (
    APPLICATION,
    LONG,
    PUSH_PATH,
    Served,
    environment,
    push_headers,
    push_of,
)
from tests.sites import Site, site_environment

LARGEST_BODY = 32 * 2**20  # that asgi_tasks.server takes
PAGE = ROOT / "docs" / "how-to" / "run-under-another-server.md"
PARSERS = [name for name in ("h11", "httptools") if find_spec(name)]
PUSH_CAP = parse_options(TASKS["default"]["OPTIONS"]).max_body_bytes


@contextlib.contextmanager
def uvicorn(env, port, application, *, parser, patience=8):
    """The page's command, for this application, with one of the parsers that Uvicorn may have."""
    ((shown,),) = [re.findall(r"^\$ python (-m uvicorn .*)$", PAGE.read_text(), re.MULTILINE)]
    for old, new in [
        ("mysite.asgi:application", application),
        ("0.0.0.0", "127.0.0.1"),
        ("8080", port),
        ("shutdown 8", f"shutdown {patience}"),
    ]:
        assert old in shown
        shown = shown.replace(old, str(new))
    with running(sys.executable, *shown.split(), "--http", parser, env=env) as process:
        wait_until_listening(process, f"http://127.0.0.1:{port}")
        yield process


@pytest.fixture(params=PARSERS)
def parser(request):
    return request.param


@pytest.fixture
def serve(certificates, tmp_path, parser):
    """serve(patience=): the site under Uvicorn, and pushes that the test makes itself."""

    @contextlib.contextmanager
    def serve(**options):
        port = free_port()
        env = environment(tmp_path, port) | {"TESTS_CERTS_URL": certificates.url}
        with uvicorn(env, port, APPLICATION, parser=parser, **options) as process:
            yield Served(process, port, tmp_path)

    return serve


@pytest.fixture
def served(serve):
    with serve() as served:
        yield served


@pytest.fixture
def push(signer):
    """Push a task's message; the status of the answer."""

    async def push(served, body):
        headers = dict(header.split(": ", 1) for header in push_headers(served, signer))
        timeout = aiohttp.ClientTimeout(total=4 * LONG)
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
            session.post(served.endpoint, data=body) as response,
        ):
            return response.status

    return push


@pytest.mark.parametrize("task", ["add", "add_sync"])
def test_task_runs_by_push(emulator, tmp_path, parser, task):
    port = free_port()
    env = site_environment(emulator, tmp_path, port)
    python("-m", "django", "migrate", "--verbosity", "0", env=env)
    python("-m", "django", "provision_tasks", env=env)
    with uvicorn(env, port, "tests.site.asgi:application", parser=parser) as process:
        url = f"http://127.0.0.1:{port}"
        site = Site(process, url, emulator, tmp_path / "effects.jsonl")
        (record,) = site.wait_until_settled(site.enqueue(task, a=1, b=100))
        assert [delivery["status"] for delivery in record["deliveries"]] == [204]
        assert [effect["result"] for effect in site.effects(task)] == [101]


@pytest.mark.parametrize("task", ["run", "run_sync"])
async def test_task_that_ends_in_time_is_acknowledged(serve, push, task):
    with serve(patience=LONG) as served:
        answer = asyncio.create_task(push(served, push_of(task, 1)))
        await asyncio.to_thread(served.wait_until, lambda: served.effects(state="began"))
        served.send_signal()
        await asyncio.to_thread(served.process.wait_for, "Waiting for")
        served.open_gate()
        assert await answer == 204
        assert await asyncio.to_thread(served.process.wait) == -signal.SIGTERM
        assert len(served.effects(state="ended")) == 1


async def test_task_that_does_not_gets_no_answer(serve, push):
    with serve(patience=1) as served:
        answer = asyncio.create_task(push(served, push_of("run", 1)))
        await asyncio.to_thread(served.wait_until, lambda: served.effects(state="began"))
        served.send_signal()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await answer
        assert await asyncio.to_thread(served.process.wait) == -signal.SIGTERM
        assert [effect["state"] for effect in served.effects()] == ["began"]


def test_task_is_cancelled_when_its_client_leaves(served, signer):
    with served.connect() as connection:
        connection.post(PUSH_PATH, *push_headers(served, signer), body=push_of("run", 1))
        served.wait_until(lambda: served.effects(state="began"))
    served.wait_until(lambda: served.effects(state="cancelled"))


def test_stranger_is_refused_before_the_body_comes(served):
    with served.connect() as connection:
        connection.post(PUSH_PATH, "Content-Length: 100000000", body=None)
        assert connection.status() == 401


@pytest.mark.parametrize("is_chunked", [False, True], ids=["said", "chunked"])
def test_push_that_is_too_large_is_refused(served, signer, is_chunked):
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {PUSH_CAP + 1}"
    with served.connect() as connection:
        connection.post(PUSH_PATH, *push_headers(served, signer), length, body=None)
        if is_chunked:
            connection.send(b"%x\r\n%b\r\n" % (PUSH_CAP + 1, b"x" * (PUSH_CAP + 1)))
        assert connection.status() == 413


def test_push_that_is_too_slow_is_refused(served, signer):
    with served.connect() as connection:
        connection.post(PUSH_PATH, *push_headers(served, signer), "Content-Length: 9", body=None)
        connection.send(b"{")
        assert connection.status() == 408


def test_pages_take_a_body_of_any_size(served):
    with served.connect() as connection:
        connection.post("/form/", body=bytes(LARGEST_BODY + 1))
        assert connection.status() == 200


def test_head_is_bounded_by_h11_alone(served, parser):
    with served.connect() as connection:
        connection.get("/nowhere/", "X-Long: " + 1_000_000 * "x")
        assert connection.status() == {"h11": 400, "httptools": 404}[parser]


def test_idle_connection_is_closed_by_the_server(served):
    with served.connect() as connection:
        connection.get("/nowhere/")
        assert connection.status() == 404
        assert connection.is_ended()
