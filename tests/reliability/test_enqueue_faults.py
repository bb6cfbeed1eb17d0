"""Enqueue while Pub/Sub, or the way to it, fails: confirmed, or the right error in time.

The record is the emulator's: what returned is in it, what was refused is not.
"""

import asyncio
import base64
import gc
import json
import os
import random
import socket
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass

import pytest
from django.tasks import default_task_backend

from asgi_tasks import EnqueueError, EnqueueRefused, EnqueueUnconfirmed, publishers
from tests.processes import free_port
from tests.reliability import brokers
from tests.reliability.brokers import Broker, answer, full_backlog, make_topics
from tests.site import tasks

BUDGET = 0.5  # seconds, where the fault lasts
SLACK = 2  # seconds more, since the machine may be busy
SOON = 5  # seconds until nothing works for a caller who has left
LONG = 20  # seconds until a test gives up; nothing waits that long
SECRET = "an argument that is nobody's business"
PUBSUB = "pubsub.googleapis.com"

pytestmark = pytest.mark.usefixtures("topics")


@dataclass
class Outcome:
    error: BaseException | None
    task_id: str
    seconds: float


@pytest.fixture
def topics(emulator):
    emulator.reset()
    routes = default_task_backend.routes
    make_topics(emulator, [routes.topic(route.name) for route in routes])


@pytest.fixture
def broker(emulator, monkeypatch):
    broker = Broker(emulator)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", broker.host)
    yield broker
    broker.close()


@pytest.fixture(params=["aenqueue", "enqueue"])
def enqueue(request, broker, caplog):
    """Enqueue from a coroutine or from sync code: the Outcome. Nothing may be left of either."""
    before = _belongings()
    yield _aenqueue if request.param == "aenqueue" else _enqueue
    publishers.stop()
    broker.release()
    gc.collect()
    _wait_until(lambda: not _more(_belongings(), before))
    logged = caplog.get_records("call") + caplog.get_records("teardown")
    assert [record.getMessage() for record in logged if record.name == "asyncio"] == []


def _enqueue(task, *args):
    started = time.monotonic()
    try:
        return Outcome(None, task.enqueue(*args).id, time.monotonic() - started)
    except EnqueueError as error:
        return _failed(error, started)


def _aenqueue(task, *args):
    async def main():
        started = time.monotonic()
        try:
            return Outcome(None, (await task.aenqueue(*args)).id, time.monotonic() - started)
        except EnqueueError as error:
            return _failed(error, started)
        finally:
            await _until_alone()

    return asyncio.run(main())


def _failed(error, started):
    return Outcome(error, getattr(error, "task_id", ""), time.monotonic() - started)


async def _until_alone():
    """What works for nobody any more ends soon."""
    async with asyncio.timeout(SOON):
        while asyncio.all_tasks() != {asyncio.current_task()}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _belongings():
    return len(os.listdir("/proc/self/fd")), set(threading.enumerate())  # noqa: PTH208


def _more(now, before):
    return now[0] > before[0] or now[1] - before[1]


def _wait_until(condition):
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.fixture
def options(settings):
    """Change options: options(publish_timeout=1)."""

    def change(**changes):
        default = settings.TASKS["default"]
        settings.TASKS = {"default": default | {"OPTIONS": default["OPTIONS"] | changes}}

    return change


# A fault that lasts: how it is arranged


@pytest.fixture
def lead(monkeypatch):
    """Have a host's name lead to a port of this machine: the resolver, for one name."""
    resolve = socket.getaddrinfo

    def lead(name, port):
        def getaddrinfo(host, asked, *args, **kwargs):
            if host == name:
                return resolve("127.0.0.1", port() if callable(port) else port, *args, **kwargs)
            return resolve(host, asked, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return lead


@pytest.fixture
def google(broker, lead, monkeypatch, tmp_path):
    """As in production: credentials, the broker's tokens, TLS. google(port) is Pub/Sub's port."""

    def google(port):
        path = tmp_path / "credentials.json"
        uri = f"http://{broker.host}/token"
        known = {"client_id": "1", "client_secret": "very-secret", "refresh_token": "very-secret"}
        path.write_text(json.dumps({"type": "authorized_user", "token_uri": uri} | known))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        monkeypatch.delenv("PUBSUB_EMULATOR_HOST")
        lead(PUBSUB, port)

    return google


@pytest.fixture
def arrange(broker, emulator, google, lead, monkeypatch, request, tmp_path):
    """Arrange one of the faults below."""

    def pubsub_is(host):
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", host)

    def behind_tls(fault):
        server = Broker(emulator, reads=False)
        request.addfinalizer(server.close)
        server.default = fault
        broker.release = lambda: (broker.released.set(), server.release())
        google(server.port)

    def at_accept(fault):
        server = Broker(emulator, reads=False)
        request.addfinalizer(server.close)
        server.default = fault
        broker.release = lambda: (broker.released.set(), server.release())
        pubsub_is(server.host)

    def overwhelmed():
        backlog = full_backlog()
        pubsub_is(backlog.__enter__())
        request.addfinalizer(lambda: backlog.__exit__(None, None, None))

    def unresolved():
        def port():
            broker.released.wait(BUDGET + SLACK)  # the system's resolver gives up as well
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")

        lead("pubsub.internal", port)
        pubsub_is("pubsub.internal:8085")

    def token(fault):
        broker.token = fault
        google(free_port())

    network = {
        "refused": lambda: pubsub_is(f"127.0.0.1:{free_port()}"),
        "name not found": lambda: pubsub_is("pubsub.invalid:8085"),
        "name server hangs": unresolved,
        "no port": lambda: pubsub_is("127.0.0.1:port"),
        "accepts no connection": overwhelmed,
        "resets the connection at once": lambda: at_accept(brokers.reset),
        "never reads": lambda: at_accept(brokers.hang),
        "TLS: unknown certificate": lambda: behind_tls(
            brokers.handshake(brokers.tls_context(tmp_path)[0])
        ),
        "TLS: speaks none": lambda: behind_tls(brokers.speak_no_tls),
        "TLS: resets": lambda: behind_tls(brokers.reset),
        "TLS: hangs": lambda: behind_tls(brokers.hang),
    }

    def arrange(fault):
        if fault in network:
            network[fault]()
        elif fault in TOKEN_FAULTS:
            token(TOKEN_FAULTS[fault])
        elif fault in EMULATOR_FAULTS:
            pubsub_is(emulator.host)
            emulator.fault(**EMULATOR_FAULTS[fault])
        else:
            broker.default = BROKER_FAULTS[fault]

    return arrange


BROKER_FAULTS = {
    "hangs": brokers.hang,
    "resets": brokers.reset,
    "closes": brokers.close,
    "loses the answer": brokers.lose_the_answer,
    "keeps the answer": brokers.keep_the_answer,
    "half an answer, then closed": brokers.break_off,
    "half an answer, then nothing": brokers.stop_halfway,
    "one byte a second": brokers.trickle,
    "garbage": brokers.garbage,
    "no ids": brokers.shorten_ids,
    "too many ids": answer(200, b'{"messageIds": ["1", "2"]}'),
    "a page": answer(200, b"<html>", content_type="text/html"),
    "redirects": brokers.redirect,
    "quotes what was sent": brokers.echo,
    "quotes it in Google's form": brokers.quote,
    "babbles": answer(403, json.dumps({"error": {"message": "line\n" * 5000}}).encode()),
    "deep": answer(403, b"[" * 100_000),
    **{str(status): answer(status) for status in (400, 401, 403, 404, 429, 500, 502, 503, 504)},
}
TOKEN_FAULTS = {
    "token: 400": answer(400, b'{"error": "invalid_grant"}'),
    "token: 401": answer(401, b'{"error": "invalid_client"}'),
    "token: 503": answer(503),
    "token: hangs": brokers.hang,
    "token: resets": brokers.reset,
    "token: a page": answer(200, b"<html>", content_type="text/html"),
    "token: not JSON": answer(200, b"<html>"),
    "token: none in it": answer(200, b"{}"),
}
EMULATOR_FAULTS = {
    "emulator: publish.error 503": {"kind": "publish.error", "status": 503},
    "emulator: publish.error 429": {"kind": "publish.error", "status": 429},
    "emulator: publish.hang": {"kind": "publish.hang"},
    "emulator: publish.close": {"kind": "publish.close"},
    "emulator: publish.lose_response": {"kind": "publish.lose_response"},
    "emulator: call.error 403": {"kind": "call.error", "status": 403, "call": "Publish"},
}
FINAL = [
    *("400", "401", "403", "404", "no port", "token: 400", "token: 401"),
    *("quotes what was sent", "quotes it in Google's form", "babbles", "deep"),
]
REFUSED = [
    *FINAL,
    *(fault for fault in TOKEN_FAULTS if fault not in FINAL),
    "429",
    "refused",
    "name not found",
    "name server hangs",
    "accepts no connection",
    "TLS: unknown certificate",
    "TLS: speaks none",
    "TLS: resets",
    "TLS: hangs",
    "emulator: publish.error 429",
    "emulator: call.error 403",
]
ACCEPTED = [  # and nobody was told
    "loses the answer",
    "keeps the answer",
    "half an answer, then closed",
    "half an answer, then nothing",
    "one byte a second",
    "no ids",
    "emulator: publish.lose_response",
]
IN_DOUBT = [
    *ACCEPTED,
    "hangs",
    "never reads",
    "resets",
    "closes",
    "garbage",
    "too many ids",
    "a page",
    "redirects",
    *("500", "502", "503", "504"),
    "emulator: publish.error 503",
    "emulator: publish.hang",
    "emulator: publish.close",
]


@pytest.mark.parametrize("fault", REFUSED)
def test_lasting_fault_is_a_refusal_and_nothing_is_published(
    broker, enqueue, options, arrange, fault
):
    options(publish_timeout=LONG if fault in FINAL else BUDGET)
    arrange(fault)
    outcome = enqueue(tasks.echo, SECRET)
    assert type(outcome.error) is EnqueueRefused
    assert outcome.seconds < BUDGET + SLACK
    assert broker.recorded() == set()
    _assert_helpful_and_discreet(outcome.error)


@pytest.mark.parametrize("fault", IN_DOUBT)
def test_lasting_fault_after_it_was_sent_leaves_it_in_doubt(
    broker, enqueue, options, arrange, fault
):
    options(publish_timeout=BUDGET)
    arrange(fault)
    outcome = enqueue(tasks.echo, SECRET)
    assert type(outcome.error) is EnqueueUnconfirmed
    assert outcome.seconds < BUDGET + SLACK
    assert broker.recorded() == ({outcome.task_id} if fault in ACCEPTED else set())
    _assert_helpful_and_discreet(outcome.error)


def _assert_helpful_and_discreet(error):
    assert error.__cause__ is not None
    assert "nqueue it again" in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 600
    told = _told(error)
    for private in (SECRET, *_encoded(SECRET), "very-secret", "Bearer"):
        assert private not in told


def _told(error):
    """The message, and whatever a log might show of the chain."""
    shown = "".join(traceback.format_exception(error))
    while error:
        shown += f"{error!r} {error.args!r} {vars(error)!r}"
        error = error.__cause__ or error.__context__
    return shown


def _encoded(text):
    """A part of its base64, wherever it stands in the data."""
    return [base64.b64encode(b" " * shift + text.encode()).decode()[4:24] for shift in range(3)]


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ("401", "credentials"),
        ("403", "roles/pubsub.publisher"),
        ("404", "provision_tasks"),
        ("token: 400", "credentials: 400 invalid_grant"),
        ("token: hangs", "credentials"),
        ("403", "in Google's words"),
        ("a page", "200, not JSON"),
        ("refused", "Cannot connect"),
        ("accepts no connection", "Connection timeout"),
        ("hangs", "no answer in time"),
    ],
)
def test_error_names_the_fault(enqueue, options, arrange, fault, advice):
    options(publish_timeout=BUDGET)
    arrange(fault)
    assert advice in str(enqueue(tasks.echo, SECRET).error)


# A fault that passes


@pytest.mark.parametrize(
    "fault",
    [
        *("429", "500", "502", "503", "504"),
        *("hangs", "resets", "closes", "loses the answer", "half an answer, then closed"),
        *("half an answer, then nothing", "one byte a second", "garbage", "no ids", "a page"),
    ],
)
def test_passing_fault_heals(broker, enqueue, options, fault):
    options(publish_timeout=4)
    broker.faults = [BROKER_FAULTS[fault]]
    outcome = enqueue(tasks.echo, 1)
    assert outcome.error is None
    assert broker.recorded() == {outcome.task_id}


@pytest.mark.parametrize("fault", ["429", "503", "resets"])
def test_fault_that_passes_within_the_budget_heals(broker, enqueue, options, fault):
    options(publish_timeout=LONG)
    broker.faults = [BROKER_FAULTS[fault]] * 4
    outcome = enqueue(tasks.echo, 1)
    assert outcome.error is None
    assert broker.recorded() == {outcome.task_id}


@pytest.mark.parametrize(
    "fault", ["token: 503", "token: resets", "token: a page", "token: not JSON", "token: hangs"]
)
def test_token_that_comes_late_is_asked_for_again(broker, enqueue, options, google, fault):
    asked = []

    def token(broker, connection, request):
        asked.append(request)
        fail_first = TOKEN_FAULTS[fault] if len(asked) == 1 else brokers.grant
        fail_first(broker, connection, request)

    options(publish_timeout=6 if "hangs" in fault else 1.5)
    broker.token = token
    google(free_port())
    assert "Cannot connect" in str(enqueue(tasks.echo, 1).error)  # it got as far as Pub/Sub
    assert len(asked) == 2


# Many at once


def test_topic_that_hangs_disturbs_no_other(broker, options):
    options(publish_timeout=LONG)
    hanging = default_task_backend.routes.topic("add")

    def hang_one(broker, connection, request):
        is_hanging = f"{hanging}:publish".encode() in request[:200]
        (brokers.hang if is_hanging else brokers.relay)(broker, connection, request)

    broker.default = hang_one

    async def main():
        stuck = [asyncio.create_task(tasks.add.aenqueue(n, 1)) for n in range(20)]
        await asyncio.to_thread(broker.arrived.acquire, timeout=LONG)
        others = await asyncio.gather(*(tasks.echo.aenqueue(n) for n in range(20)))
        assert not any(task.done() for task in stuck)
        assert broker.recorded() == {result.id for result in others}
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        broker.release()
        await _until_alone()

    asyncio.run(main())


def test_cancelled_callers_take_nobody_with_them(broker, options):
    options(publish_timeout=LONG)

    def hold(broker, connection, request):
        broker.released.wait()
        brokers.relay(broker, connection, request)

    broker.default = hold

    async def main():
        calls = [asyncio.create_task(tasks.echo.aenqueue(n)) for n in range(40)]
        await asyncio.to_thread(broker.arrived.acquire, timeout=LONG)
        for leaving in calls[::2]:
            leaving.cancel()
        broker.release()
        return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(main())
    assert {type(result) for result in results[::2]} == {asyncio.CancelledError}
    assert {result.id for result in results[1::2]} <= broker.recorded()


def test_thousand_at_once_over_a_flapping_broker(broker, options):
    """Confirmed is recorded, refused is not, and the rest is in doubt."""
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    faults = [
        brokers.relay,
        *(BROKER_FAULTS[name] for name in ("429", "503", "resets", "loses the answer")),
        *(BROKER_FAULTS[name] for name in ("403", "hangs", "garbage", "no ids")),
    ]
    weights = [8, 1, 1, 1, 1, 0.3, 0.3, 1, 1]

    def flap(broker, connection, request):
        (fault,) = dice.choices(faults, weights)
        happened[fault.__name__] += 1
        fault(broker, connection, request)

    happened = Counter()
    broker.default = flap
    options(publish_timeout=3)
    targets = [tasks.echo, tasks.fan_out, tasks.query_sync, tasks.wait, tasks.wait_sync]

    async def one(number):
        await asyncio.sleep(dice.random())
        return await targets[number % 5].aenqueue(number)

    async def main():
        calls = [asyncio.create_task(one(number)) for number in range(1000)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        broker.release()
        await _until_alone()
        return outcomes

    outcomes = asyncio.run(main())
    kinds = Counter(type(outcome).__name__ for outcome in outcomes)
    print(f"seed {seed}: {dict(kinds)} after {dict(happened)}")
    confirmed = {outcome.id for outcome in outcomes if not isinstance(outcome, BaseException)}
    in_doubt = {o.task_id for o in outcomes if isinstance(o, EnqueueUnconfirmed)}
    assert set(kinds) <= {"TaskResult", "EnqueueRefused", "EnqueueUnconfirmed"}, seed
    assert confirmed, seed
    assert confirmed <= broker.recorded() <= confirmed | in_doubt, seed
