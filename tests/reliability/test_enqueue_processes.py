"""Enqueue in processes that fork, spawn, change their loop, or end while it is under way."""

import json
import re
import signal
import sys
import threading
import time
import urllib.error

import pytest
from django.tasks import default_task_backend

from tests.processes import running
from tests.reliability import brokers
from tests.reliability.brokers import Broker, make_topics
from tests.tokens import CertificatesServer

BUDGET = 5  # seconds: publish_timeout of tests.site
SLACK = 8  # seconds more, since the machine may be busy
PRELUDE = """
import asyncio, atexit, os, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from asgi_tasks import EnqueueError, EnqueueRefused, EnqueueUnconfirmed
{early}
from tests.reliability.enqueuing import fork, say, send, send_on_a_loop, tasks
"""

WAIT_FOR_SIGNAL = """
import signal
go = threading.Event()
signal.signal(signal.SIGUSR1, lambda *ignored: go.set())
while not go.wait(0.05): pass
"""


@pytest.fixture
def broker(emulator):
    emulator.reset()
    make_topics(emulator, [default_task_backend.routes.topic("echo")])
    broker = Broker(emulator)
    yield broker
    broker.close()


@pytest.fixture
def start(broker):
    """A context manager: start(script) runs it in a process of its own."""

    def start(script, *flags, early="", host=None):
        env = {
            "DJANGO_SETTINGS_MODULE": "tests.site.settings",
            "PUBSUB_EMULATOR_HOST": host or broker.host,
        }
        code = PRELUDE.format(early=early) + script
        return running(sys.executable, "-W", "error", *flags, "-c", code, env=env)

    return start


@pytest.fixture
def run(start):
    """The output of a script that ends well."""

    def run(script, *flags, **options):
        with start(script, *flags, **options) as process:
            assert process.wait() == 0, process.output
            return process.output

    return run


def _sent(output):
    """The ids a script has said, and nothing else: no warning, no traceback."""
    lines = output.splitlines()
    assert all(re.fullmatch(r"sent [0-9a-f-]{36}", line) for line in lines), output
    return {line.split()[1] for line in lines}


# Loops


@pytest.mark.parametrize(
    "script",
    [
        "for n in range(3): say('sent', send_on_a_loop(n))",
        "for n in range(3): say('sent', send(n))",
        """
from asgiref.sync import async_to_sync
def work(n):
    for _ in range(3): say("sent", async_to_sync(tasks.echo.aenqueue)(n).id)
with ThreadPoolExecutor(10) as threads: list(threads.map(work, range(10)))
""",
        """
def work(n):
    say("sent", send(n))
    say("sent", send_on_a_loop(n))
with ThreadPoolExecutor(10) as threads: list(threads.map(work, range(10)))
""",
        """
loop = asyncio.new_event_loop()
say("sent", loop.run_until_complete(tasks.echo.aenqueue(1)).id)
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
say("sent", send_on_a_loop(2))
""",
        """
async def main():
    say("sent", (await tasks.echo.aenqueue(1)).id)
    say("sent", await asyncio.to_thread(send, 2))
    say("sent", await asyncio.to_thread(send_on_a_loop, 3))
asyncio.run(main())
""",
    ],
    ids=[
        "asyncio.run again",
        "sync again",
        "async_to_sync in ten threads",
        "both in ten threads",
        "closed loop",
        "loops in a loop",
    ],
)
def test_every_loop_publishes(broker, run, script):
    sent = _sent(run(script))
    assert len(sent) > 1
    assert broker.recorded() == sent


# Processes


@pytest.mark.parametrize("parent", ["send", "send_on_a_loop"])
@pytest.mark.parametrize("child", ["send", "send_on_a_loop"])
def test_forked_child_publishes_and_so_does_its_parent(broker, run, parent, child):
    script = f"""
say("sent", {parent}(1))
fork({child}, 2)
say("sent", {parent}(3))
"""
    # Python's advice against forks beside threads: that is the test.
    sent = _sent(run(script, "-W", "ignore:This process:DeprecationWarning"))
    assert len(sent) == 3
    assert broker.recorded() == sent


def test_child_forked_while_its_parent_publishes(broker, start):
    broker.faults = [brokers.hang]
    script = f"""
thread = threading.Thread(target=lambda: say("sent", send(1)))
thread.start()
{WAIT_FOR_SIGNAL}
fork(send, 2)
thread.join()
"""
    with start(script, "-W", "ignore:This process:DeprecationWarning") as process:
        assert broker.arrived.acquire(timeout=60)
        process.send(signal.SIGUSR1)
        assert process.wait() == 0, process.output
    sent = _sent(process.output)
    assert len(sent) == 2
    assert broker.recorded() == sent


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_multiprocessing_children_publish(broker, run, method):
    script = f"""
import multiprocessing
say("sent", send(0))
with multiprocessing.get_context("{method}").Pool(2) as pool:
    for each in pool.map(send, range(4)): say("sent", each)
"""
    sent = _sent(run(script))
    assert len(sent) == 5
    assert broker.recorded() == sent


# The end of a process while a publish hangs


@pytest.mark.parametrize("end", ["", "sys.exit()"], ids=["end of main", "sys.exit"])
def test_thread_that_waits_at_the_end_is_told(broker, start, end):
    """Python waits for such a thread, as long as its budget."""
    broker.default = brokers.hang
    script = f"""
def work():
    try: say("sent", send(1))
    except EnqueueUnconfirmed as error: say("in doubt", error.task_id)
threading.Thread(target=work).start()
{WAIT_FOR_SIGNAL}
{end}
"""
    with start(script) as process:
        assert broker.arrived.acquire(timeout=60)
        began = time.monotonic()
        process.send(signal.SIGUSR1)
        assert process.wait() == 0, process.output
    assert time.monotonic() - began < BUDGET + SLACK
    assert re.fullmatch(r"in doubt [0-9a-f-]{36}\n", process.output)


def test_daemon_thread_that_waits_at_the_end_is_told_at_once(broker, start):
    broker.default = brokers.hang
    # The hooks of an exit run last in, first out: this one after the publisher's.
    early = """
told = threading.Event()
@atexit.register
def look(): say("told" if told.wait(2) else "not told")
"""
    script = """
def work():
    try: send(1)
    except EnqueueUnconfirmed: told.set()
threading.Thread(target=work, daemon=True).start()
"""
    with start(script + WAIT_FOR_SIGNAL, early=early) as process:
        assert broker.arrived.acquire(timeout=60)
        process.send(signal.SIGUSR1)
        assert process.wait() == 0, process.output
    assert process.output == "told\n"


@pytest.mark.parametrize("call", ["send(1)", "send_on_a_loop(1)"])
def test_keyboard_interrupt_ends_a_process_that_waits(broker, start, call):
    broker.default = brokers.hang
    with start(call) as process:
        assert broker.arrived.acquire(timeout=60)
        began = time.monotonic()
        assert process.stop(signal.SIGINT) == -signal.SIGINT
    assert time.monotonic() - began < BUDGET
    assert process.output.rstrip().endswith("KeyboardInterrupt")


def test_loop_that_ends_cancels_what_it_publishes(broker, start):
    broker.default = brokers.hang
    script = """
async def main():
    calls = [asyncio.create_task(tasks.echo.aenqueue(n)) for n in range(3)]
    await asyncio.sleep(0.5)
    return calls
calls = asyncio.run(main())
say([call.cancelled() for call in calls])
"""
    with start(script) as process:
        began = time.monotonic()
        assert process.wait() == 0, process.output
    assert time.monotonic() - began < BUDGET + SLACK
    assert process.output == "[True, True, True]\n"


# Enqueue when it is too late

LATE = """
def late():
    try: say("sent", send(1))
    except EnqueueRefused as error: say("refused:", error)
"""


@pytest.mark.parametrize("before", ["", "send(0)"], ids=["first", "again"])
@pytest.mark.parametrize("hook", ["before the publisher's", "after the publisher's"])
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_enqueue_at_exit_works_or_says_why_not(broker, run, before, hook, name):
    registered = f"{LATE}\natexit.register(late)\n"
    early, late = ("", registered) if hook.startswith("before") else (registered, "")
    output = run(late + before, early=early, host=f"{name}:{broker.port}")
    if output.startswith("refused: "):
        assert "interpreter shutdown" in output
        assert len(broker.recorded()) == bool(before)
    else:
        assert len(_sent(output) & broker.recorded()) == 1


def test_thread_that_enqueues_when_main_has_ended_is_answered(broker, run):
    """Python 3.12 starts no thread any more, which a first enqueue needs."""
    script = """
main = threading.current_thread()
def work():
    main.join()
    late()
threading.Thread(target=work).start()
"""
    output = run(LATE + script)
    assert output.startswith("refused: ") or _sent(output) == broker.recorded()


def test_daemon_thread_that_enqueues_to_the_last(broker, run):
    """Each is sent or refused; at the very end the thread just stops."""
    script = """
def work():
    while True:
        try: say("sent", send(1))
        except EnqueueError as error: say("refused:", error)
for _ in range(4): threading.Thread(target=work, daemon=True).start()
time.sleep(0.5)
"""
    lines = run(script).splitlines()
    assert lines
    assert all(line.startswith(("sent ", "refused: ")) for line in lines), lines
    assert {line.split()[1] for line in lines if line.startswith("sent")} <= broker.recorded()


# As in production: TLS, and tokens from the metadata server

PRODUCTION = """
import socket
del os.environ["PUBSUB_EMULATOR_HOST"]
resolve = socket.getaddrinfo
def getaddrinfo(host, port, *args, **kwargs):
    if host == "pubsub.googleapis.com": host, port = "127.0.0.1", int(os.environ["TLS_PORT"])
    return resolve(host, port, *args, **kwargs)
socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture
def produce(broker, emulator, metadata, tmp_path):
    """Run a script where Pub/Sub's name leads to a broker with a certificate for it."""
    context, path = brokers.tls_context(tmp_path, "pubsub.googleapis.com")
    server = Broker(emulator, reads=False)
    server.default = brokers.over_tls(context)

    def produce(script, inside=brokers.relay):
        server.inside = inside
        env = {
            "DJANGO_SETTINGS_MODULE": "tests.site.settings",
            "PUBSUB_EMULATOR_HOST": "",
            "GCE_METADATA_HOST": metadata.url.split("/")[2],
            "CLOUDSDK_CONFIG": str(tmp_path),
            "SSL_CERT_FILE": str(path),
            "TLS_PORT": str(server.port),
        }
        code = PRELUDE.format(early=PRODUCTION) + script
        with running(sys.executable, "-W", "error", "-c", code, env=env) as process:
            assert process.wait() == 0, process.output
        return process.output, server.heads

    yield produce
    server.close()


@pytest.fixture
def metadata():
    server = CertificatesServer({"access_token": "very-secret", "expires_in": 3600})
    yield server
    server.close()


def test_enqueue_as_in_production_brings_a_token(broker, produce):
    output, heads = produce("say('sent', send(1)); say('sent', send_on_a_loop(2))")
    assert _sent(output) == broker.recorded()
    assert len(heads) == 2
    assert all("Authorization: Bearer very-secret" in head.splitlines() for head in heads)


TELL = """
import traceback
try: send("private " * 2)
except EnqueueRefused as error:
    traceback.print_exc(file=sys.stdout)
    while error:
        print(repr(error), error.args, vars(error))
        error = error.__cause__ or error.__context__
"""


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusal_in_production_shows_no_token(produce, status):
    output, _ = produce(TELL, brokers.answer(status))
    assert "EnqueueRefused: tests.site.tasks.echo was not published" in output
    assert str(status) in output
    assert "very-secret" not in output
    assert "private private" not in output


def test_metadata_server_that_fails_is_a_refusal(broker, produce, metadata):
    metadata.status = 404
    output, heads = produce(TELL)
    assert "no access token for these credentials: 404" in output
    assert heads == []


# When the system gives no thread or no file


# Python's loop, half made, does not go quietly.
SILENCE = "sys.unraisablehook = threading.excepthook = lambda ignored: None"
SHORTAGES = {
    "no thread": ("threading.stack_size(1 << 46)", "threading.stack_size(0)"),
    "no file": (f"{SILENCE}; limit(os.open('/dev/null', 0))", "limit(FILES)"),
}


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_sync_enqueue_without_a_loop_is_refused_and_works_once_there_is_one(broker, run, shortage):
    begin, end = SHORTAGES[shortage]
    early = """
import resource
FILES, MOST = resource.getrlimit(resource.RLIMIT_NOFILE)
from django.tasks import default_task_backend
def limit(files): resource.setrlimit(resource.RLIMIT_NOFILE, (files, MOST))
"""
    script = f"""
list(default_task_backend.routes)  # loads what else would need a file
{begin}
try: send(1)
except EnqueueRefused: say("refused")
{end}
say("sent", send(2))
"""
    refused, sent = run(script, early=early).splitlines()
    assert refused == "refused"
    assert broker.recorded() == _sent(sent)


# Daphne


@pytest.mark.parametrize("view", ["aenqueue", "enqueue"])
def test_daphne_ends_in_time_while_publishes_hang(emulator, start_site, tmp_path, view):
    emulator.reset()
    with start_site(emulator, tmp_path) as site:
        emulator.fault("publish.hang")
        answers = []

        def visit():
            try:
                answers.append(site.enqueue("echo", view=view))
            except OSError as error:  # no exception is kept: it would keep its socket
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                answers.append("failed")

        visitors = [threading.Thread(target=visit) for _ in range(5)]
        for visitor in visitors:
            visitor.start()
        site.wait_until(lambda: _publishes_under_way(emulator))
        began = time.monotonic()
        site.process.stop(signal.SIGTERM)
        seconds = time.monotonic() - began
        for visitor in visitors:
            visitor.join()
    assert seconds < BUDGET + SLACK
    assert answers == ["failed"] * 5


def _publishes_under_way(emulator):
    status = json.loads(brokers.call(emulator, "GET", "/emulator/status", None)[1])
    return status["calls"].get("Publish", 0) >= 1
