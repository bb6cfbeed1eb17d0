import asyncio
import base64
import contextvars
import gc
import json
import os
import random
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest
from aiohttp import TCPConnector, web

from asgi_tasks import publishers
from asgi_tasks.publishers import PublishError, publish, publish_from_thread, publisher
from asgi_tasks.publishers.pending import Pending
from tests.processes import ROOT, free_port

TOPIC = "projects/tests/topics/one"
OTHER = "projects/tests/topics/other"
LONG = 10  # seconds until a test gives up; nothing waits that long


class Broker:
    """Pub/Sub's REST interface on a real socket, in a thread of its own.

    `faults` are used up first, one a request; then `default` answers.
    """

    def __init__(self, port=0):
        self.faults = []
        self.default = accept
        self.requests = []  # (topic, [data, ...])
        self.bodies = []
        self.accepted = []
        self.under_way = self.most_under_way = 0
        self.arrived = threading.Semaphore(0)
        self.connections = set()
        self._port = port
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(LONG)

    def wait_for_request(self):
        assert self.arrived.acquire(timeout=LONG)

    def release(self):
        """Let go all that `hold` holds."""
        self._loop.call_soon_threadsafe(self.released.set)

    def close(self):
        self._loop.call_soon_threadsafe(self.released.set)
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(LONG)

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self.released, self._closing = asyncio.Event(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port)
        await site.start()
        self.host = f"127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._closing.wait()
        await runner.cleanup()

    async def _answer(self, request):
        self.connections.add(request.transport)
        body = b"".join([chunk async for chunk in request.content.iter_any()])
        self.bodies.append(body)
        if request.path == "/token":
            messages = ["token"]
        else:
            messages = [base64.b64decode(m["data"]).decode() for m in json.loads(body)["messages"]]
        topic = request.path.removeprefix("/v1/").removesuffix(":publish")
        self.requests.append((topic, messages))
        self.arrived.release()
        fault = self.faults.pop(0) if self.faults else self.default
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await fault(self, request, messages)
        finally:
            self.under_way -= 1


async def accept(broker, request, messages):
    broker.accepted += messages
    return web.json_response({"messageIds": [f"id of {data[:20]}" for data in messages]})


async def hold(broker, request, messages):
    await broker.released.wait()
    return await accept(broker, request, messages)


async def reset(broker, request, messages):
    request.transport.abort()
    return web.Response()


async def lose_the_answer(broker, request, messages):
    broker.accepted += messages
    return await reset(broker, request, messages)


async def grant(broker, request, messages):
    return web.json_response({"access_token": "secret", "expires_in": 3600})


def status(code):
    async def answer(broker, request, messages):
        return web.json_response({"error": {"code": code}}, status=code)

    answer.__name__ = str(code)
    return answer


def says(text, content_type="application/json"):
    async def answer(broker, request, messages):
        return web.Response(text=text, content_type=content_type)

    answer.__name__ = f"says {text[:20]}"
    return answer


UNSENT = [status(429)]
REFUSALS = [status(code) for code in (400, 401, 403, 404, 413)]
GARBAGE = [
    says("<html>", "text/html"),
    says("<html>"),
    says("{}"),
    says('{"messageIds": []}'),
    says('{"messageIds": ["1", "2"]}'),
]
NONSENSE = [says("[]"), says('{"messageIds": null}')]
IN_DOUBT = [status(code) for code in (408, 409, 499, 500, 502, 503, 504)]
LOST = [reset, lose_the_answer, hold]


def named(faults):
    return {"argnames": "fault", "argvalues": faults, "ids": [f.__name__ for f in faults]}


@pytest.fixture
def broker(monkeypatch):
    broker = Broker()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", broker.host)
    yield broker
    publishers.stop()
    broker.close()


@pytest.fixture(params=["loop", "thread"])
async def send(request, broker):
    """publish(), or its twin for threads, on one topic."""

    async def from_loop(data, budget):
        return await publish(TOPIC, data.encode(), {"name": "value"}, budget=budget)

    async def from_thread(data, budget):
        return await asyncio.to_thread(
            publish_from_thread, TOPIC, data.encode(), {"name": "value"}, budget=budget
        )

    return from_loop if request.param == "loop" else from_thread


def publish_text(data, topic=TOPIC, budget=LONG):
    return publish(topic, data.encode(), {}, budget=budget)


# Confirmed, or not


async def test_confirmed_message_has_the_broker_s_id(broker, send):
    assert await send("one", LONG) == "id of one"
    assert broker.requests == [(TOPIC, ["one"])]


async def test_attributes_travel_beside_the_data(broker, send):
    await send("one", LONG)
    (message,) = json.loads(broker.bodies[0])["messages"]
    assert message["attributes"] == {"name": "value"}


@pytest.mark.parametrize(**named(REFUSALS))
async def test_refusal_is_final(broker, send, fault):
    broker.default = fault
    with pytest.raises(PublishError, match=fault.__name__) as caught:
        await send("one", LONG)
    assert not caught.value.maybe_published
    assert len(broker.requests) == 1


@pytest.mark.parametrize(**named(UNSENT + IN_DOUBT + GARBAGE + LOST))
async def test_transient_fault_is_retried(broker, send, fault):
    broker.faults = [fault]
    assert await send("one", 1) == "id of one"


@pytest.mark.parametrize(**named(UNSENT))
async def test_lasting_fault_before_the_broker_took_it_is_a_refusal(broker, send, fault):
    broker.default = fault
    with pytest.raises(PublishError) as caught:
        await send("one", 0.05)
    assert not caught.value.maybe_published


@pytest.mark.parametrize(**named(IN_DOUBT + GARBAGE + NONSENSE + LOST))
async def test_lasting_fault_after_it_was_sent_leaves_it_in_doubt(broker, send, fault):
    broker.default = fault
    with pytest.raises(PublishError) as caught:
        await send("one", 0.1)
    assert caught.value.maybe_published


async def test_refusal_after_a_lost_answer_leaves_it_in_doubt(broker, send):
    broker.faults, broker.default = [lose_the_answer], status(403)
    with pytest.raises(PublishError) as caught:
        await send("one", LONG)
    assert caught.value.maybe_published
    assert broker.accepted == ["one"]


async def test_no_broker_is_a_refusal(send, broker, monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    with pytest.raises(PublishError) as caught:
        await send("one", 0.05)
    assert not caught.value.maybe_published


async def test_broker_that_comes_up_late_gets_the_message(monkeypatch):
    port = free_port()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{port}")
    sending = asyncio.create_task(publish_text("one"))
    await asyncio.sleep(0.02)
    broker = await asyncio.to_thread(Broker, port)
    assert await sending == "id of one"
    await asyncio.to_thread(broker.close)


async def test_fault_that_passes_shortly_before_the_end_is_noticed(broker, monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda low, high: high)  # pauses up to 1.6 s
    loop = asyncio.get_running_loop()
    loop.call_later(1.7, setattr, broker, "default", accept)
    broker.default = status(503)
    assert await publish_text("one", budget=2) == "id of one"


async def test_failure_has_the_broker_s_reason_as_its_cause(broker, send):
    broker.default = status(404)
    with pytest.raises(PublishError) as caught:
        await send("one", LONG)
    assert caught.value.__cause__.status == 404


# Joined requests


async def test_500_messages_at_once_are_one_request(broker):
    texts = [str(number) for number in range(500)]
    ids = await asyncio.gather(*map(publish_text, texts))
    assert ids == [f"id of {text}" for text in texts]
    assert [len(messages) for _, messages in broker.requests] == [500]


async def test_first_goes_at_once_and_what_comes_meanwhile_joins_the_next(broker):
    broker.default = hold
    sending = [asyncio.create_task(publish_text("first"))]
    await asyncio.to_thread(broker.wait_for_request)
    for number in range(500):
        sending.append(asyncio.create_task(publish_text(f"late {number}")))
        await asyncio.sleep(0)  # a turn of the loop each
    broker.release()
    await asyncio.gather(*sending)
    assert [len(messages) for _, messages in broker.requests] == [1, 500]


def test_what_threads_publish_meanwhile_joins_the_next(broker):
    broker.default = hold
    with ThreadPoolExecutor(50) as threads:
        first = threads.submit(publish_from_thread, TOPIC, b"first", {}, budget=LONG)
        broker.wait_for_request()
        late = [
            threads.submit(publish_from_thread, TOPIC, str(number).encode(), {}, budget=LONG)
            for number in range(49)
        ]
        wait_until(lambda: sum(map(waits_for_result, threads._threads)) == 50)
        broker.release()
        assert [future.result(LONG) for future in late] == [f"id of {n}" for n in range(49)]
        assert first.result(LONG) == "id of first"
    assert [len(messages) for _, messages in broker.requests] == [1, 49]


def waits_for_result(thread):
    frame = sys._current_frames().get(thread.ident)
    names = set()
    while frame:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return {"publish_from_thread", "result", "wait"} <= names


def wait_until(condition):
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


async def test_requests_hold_no_more_than_1000_messages(broker):
    await asyncio.gather(*(publish_text(str(number)) for number in range(2200)))
    assert sorted(len(messages) for _, messages in broker.requests) == [200, 1000, 1000]


@pytest.mark.parametrize(
    ("data", "attributes", "count"),
    [
        (b"x" * 3_000_000, {}, 3),
        (b"x", {"name": "x" * 12_000}, 1000),
        (b"x", {"name": "\N{GRINNING FACE}" * 1000}, 1000),
        (b"x", {"x" * 12_000: ""}, 1000),
    ],
    ids=["data", "attributes", "escaped attributes", "names of attributes"],
)
async def test_bodies_hold_no_more_than_ten_megabytes(broker, data, attributes, count):
    await asyncio.gather(*(publish(TOPIC, data, attributes, budget=LONG) for _ in range(count)))
    assert len(broker.accepted) == count
    assert len(broker.bodies) == 2
    assert max(map(len, broker.bodies)) <= 10_000_000


async def test_message_larger_than_a_batch_goes_alone(broker, monkeypatch):
    monkeypatch.setattr(publisher, "MAX_BATCH_BYTES", 100)
    await asyncio.gather(*map(publish_text, ("small", "x" * 60, "tiny", "wee")))
    assert [messages for _, messages in broker.requests] == [
        ["small"],
        ["x" * 60],
        ["tiny", "wee"],
    ]


async def test_what_fills_a_request_does_not_wait_for_the_one_under_way(broker, monkeypatch):
    monkeypatch.setattr(publisher, "MAX_BATCH_MESSAGES", 10)
    monkeypatch.setattr(publisher, "SLOW", 10 * LONG)  # none is let go for being slow
    broker.default = hold
    sending = [asyncio.create_task(publish_text("first"))]
    await asyncio.to_thread(broker.wait_for_request)
    sending += [asyncio.create_task(publish_text(str(number))) for number in range(25)]
    for _ in range(2):
        await asyncio.to_thread(broker.wait_for_request)
    assert sorted(len(messages) for _, messages in broker.requests) == [1, 10, 10]
    broker.release()
    await asyncio.gather(*sending)
    assert len(broker.requests[3][1]) == 5


async def test_request_that_is_slow_is_not_waited_for_and_four_are_under_way_at_most(
    broker, monkeypatch
):
    monkeypatch.setattr(publisher, "SLOW", -1)
    broker.default = hold
    sending = []
    for number in range(4):
        sending.append(asyncio.create_task(publish_text(f"early {number}")))
        await asyncio.to_thread(broker.wait_for_request)
    for number in range(50):
        sending.append(asyncio.create_task(publish_text(f"late {number}")))
        await asyncio.sleep(0)
    broker.release()
    await asyncio.gather(*sending)
    assert [len(messages) for _, messages in broker.requests] == [1, 1, 1, 1, 50]


async def test_requests_of_all_topics_together_are_bounded_and_take_turns(broker, monkeypatch):
    monkeypatch.setattr(publisher, "MAX_REQUESTS", 3)
    monkeypatch.setattr(publisher, "MAX_BATCH_MESSAGES", 1)
    broker.default = hold
    topics = [f"projects/tests/topics/{number}" for number in range(8)]
    sending = [
        asyncio.create_task(publish_text(str(number), topic))
        for topic in topics
        for number in range(2)
    ]
    for _ in range(3):
        await asyncio.to_thread(broker.wait_for_request)
    await publish_from_another_loop(broker)
    assert len(broker.requests) == 4
    broker.release()
    await asyncio.gather(*sending)
    assert broker.most_under_way <= 4  # the other loop's among them
    assert {topic for topic, _ in broker.requests[:8]} >= set(topics[:7])


async def publish_from_another_loop(broker):
    """By then the first loop has had its turns."""
    broker.faults = [accept]
    await asyncio.to_thread(_publish_on_a_new_loop, "other")


async def test_topics_have_requests_of_their_own(broker):
    await asyncio.gather(publish_text("a", TOPIC), publish_text("b", OTHER))
    assert sorted(broker.requests) == [(TOPIC, ["a"]), (OTHER, ["b"])]


async def test_topic_that_hangs_does_not_hold_up_another(broker):
    broker.faults = [hold]
    hanging = asyncio.create_task(publish_text("a", TOPIC))
    await asyncio.to_thread(broker.wait_for_request)
    assert await publish_text("b", OTHER) == "id of b"
    broker.release()
    await hanging


async def test_request_that_hangs_does_not_hold_up_what_came_just_after_it(broker):
    broker.faults = [hold]
    hanging = asyncio.create_task(publish_text("a"))
    await asyncio.to_thread(broker.wait_for_request)
    assert await publish_text("b") == "id of b"
    assert not hanging.done()
    broker.release()
    await hanging


async def test_batch_goes_on_without_those_whose_budget_is_over(broker):
    broker.faults = [hold]
    short, long = publish_text("short", budget=0.05), publish_text("long", budget=1)
    results = await asyncio.gather(short, long, return_exceptions=True)
    assert isinstance(results[0], PublishError)
    assert results[1] == "id of long"
    assert broker.requests == [(TOPIC, ["short", "long"]), (TOPIC, ["long"])]


async def test_message_given_up_while_its_request_connects_is_not_sent(broker, monkeypatch):
    connecting, connect = asyncio.Event(), TCPConnector._create_connection

    async def slowly(*arguments):
        await connecting.wait()
        return await connect(*arguments)

    monkeypatch.setattr(TCPConnector, "_create_connection", slowly)
    impatient = asyncio.create_task(publish(TOPIC, b"impatient", {}, budget=0.05))
    patient = asyncio.create_task(publish(TOPIC, b"patient", {}, budget=LONG))
    with pytest.raises(PublishError) as failure:
        await impatient
    connecting.set()
    assert await patient == "id of patient"
    assert not failure.value.maybe_published
    assert broker.accepted == ["patient"]


async def test_budget_of_a_message_that_waits_for_a_request_counts(broker):
    broker.default = hold
    early = asyncio.create_task(publish_text("early"))
    await asyncio.to_thread(broker.wait_for_request)
    with pytest.raises(PublishError) as caught:
        await publish_text("late", budget=0.02)
    assert not caught.value.maybe_published
    broker.release()
    await early
    await publish_text("after")
    assert "late" not in broker.accepted


@pytest.mark.parametrize("budgets", [(0.05, LONG), (LONG, 0.05)], ids=["first", "last"])
async def test_each_budget_is_kept_whatever_the_others_are(broker, budgets):
    broker.default = hold
    sending = [asyncio.create_task(publish_text(str(budget), budget=budget)) for budget in budgets]
    await asyncio.to_thread(broker.wait_for_request)
    with pytest.raises(PublishError):
        await sending[budgets.index(0.05)]
    broker.release()
    assert await sending[budgets.index(LONG)] == f"id of {LONG}"


async def test_each_message_ends_with_its_own_budget(broker, monkeypatch):
    monkeypatch.setattr(publisher, "SLOW", 10 * LONG)  # the end of a request ends none of them
    broker.default = hold
    early = asyncio.create_task(publish_text("early"))
    await asyncio.to_thread(broker.wait_for_request)
    first = asyncio.create_task(publish_text("first", budget=0.5))
    await asyncio.sleep(0.25)
    second = asyncio.create_task(publish_text("second", budget=0.5))
    with pytest.raises(PublishError):
        await first
    assert not second.done()
    with pytest.raises(PublishError):
        await asyncio.wait_for(second, LONG / 4)
    broker.release()
    await early


# A request refused because of one message


def refuse(*bad, code=400):
    """A refusal of each request that holds one of these, whole as Pub/Sub's are."""

    async def answer(broker, request, messages):
        return await (accept if set(bad).isdisjoint(messages) else status(code))(
            broker, request, messages
        )

    return answer


async def outcomes(texts, budget=LONG):
    return await asyncio.gather(
        *(publish_text(text, budget=budget) for text in texts), return_exceptions=True
    )


@pytest.mark.parametrize("code", [400, 413, 422])
@pytest.mark.parametrize("position", [0, 333, 999])
async def test_bad_message_fails_alone_and_the_others_are_published_once(broker, code, position):
    texts = [str(number) for number in range(1000)]
    bad = texts[position]
    broker.default = refuse(bad, code=code)
    results = await outcomes(texts)
    error = results.pop(position)
    assert isinstance(error, PublishError)
    assert str(code) in str(error)
    assert not error.maybe_published
    texts.remove(bad)
    assert results == [f"id of {text}" for text in texts]
    assert sorted(broker.accepted) == sorted(texts)
    assert len(broker.requests) <= 1 + 2 * 10  # log2 of 1000


async def test_each_of_some_bad_messages_fails_alone(broker):
    texts = [str(number) for number in range(64)]
    bad = random.Random(7).sample(texts, 5)
    broker.default = refuse(*bad)
    results = dict(zip(texts, await outcomes(texts), strict=True))
    assert {text for text, result in results.items() if isinstance(result, PublishError)} == {*bad}
    assert sorted(broker.accepted) == sorted({*texts} - {*bad})


def test_bad_message_of_a_thread_fails_alone(broker):
    texts = [str(number) for number in range(20)]
    broker.default = refuse("7")

    def work(text):
        try:
            return publish_from_thread(TOPIC, text.encode(), {}, budget=LONG)
        except PublishError:
            return "refused"

    with ThreadPoolExecutor(20) as threads:
        results = list(threads.map(work, texts))
    assert results == ["refused" if text == "7" else f"id of {text}" for text in texts]
    assert sorted(broker.accepted) == sorted({*texts} - {"7"})


@pytest.mark.parametrize("code", [401, 403, 404])
async def test_refusal_that_concerns_all_is_not_tried_in_parts(broker, code):
    broker.default = status(code)
    results = await outcomes("abc")
    assert [type(result) for result in results] == [PublishError] * 3
    assert len(broker.requests) == 1


async def test_part_of_a_refused_request_is_retried_as_any(broker):
    broker.faults = [status(400), status(503), reset]
    assert await outcomes("abcd") == [f"id of {text}" for text in "abcd"]
    assert sorted(broker.accepted) == list("abcd")


async def test_parts_of_a_refused_request_end_with_their_budget(broker):
    broker.faults, broker.default = [status(400)], hold
    errors = await outcomes("ab", budget=0.2)
    sent = {text for _, messages in broker.requests[1:] for text in messages}
    assert "a" in sent
    assert [error.maybe_published for error in errors] == [text in sent for text in "ab"]


async def test_caller_cancelled_while_a_refused_request_is_tried_in_parts(broker):
    broker.faults, broker.default = [status(400)], hold
    calls = [asyncio.create_task(publish_text(text)) for text in "abc"]
    for _ in range(3):
        await asyncio.to_thread(broker.wait_for_request)
    calls[2].cancel()  # it is under way, in a request with "b"
    broker.release()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert results[:2] == ["id of a", "id of b"]
    assert sorted(broker.accepted) == ["a", "b", "c"]


async def test_parts_of_a_refused_request_do_not_wait_for_each_other(broker):
    broker.faults, broker.default = [status(400)], hold
    calls = [asyncio.create_task(publish_text(text)) for text in "ab"]
    for _ in range(3):
        await asyncio.to_thread(broker.wait_for_request)
    assert sorted(broker.requests[1:]) == [(TOPIC, ["a"]), (TOPIC, ["b"])]
    broker.release()
    assert await asyncio.gather(*calls) == ["id of a", "id of b"]


# Callers that leave


async def test_caller_cancelled_while_it_waits_for_a_request_sends_nothing(broker):
    broker.default = hold
    first = asyncio.create_task(publish_text("first"))
    await asyncio.to_thread(broker.wait_for_request)
    leaving, staying = (asyncio.create_task(publish_text(text)) for text in ("leaving", "staying"))
    await asyncio.sleep(0)
    leaving.cancel()
    broker.release()
    assert await asyncio.gather(first, staying) == ["id of first", "id of staying"]
    assert broker.accepted == ["first", "staying"]
    assert leaving.cancelled()


async def test_caller_cancelled_before_the_request_sends_nothing(broker):
    leaving = asyncio.create_task(publish_text("leaving"))
    staying = asyncio.create_task(publish_text("staying"))
    asyncio.get_running_loop().call_soon(leaving.cancel)
    await staying
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert broker.requests == [(TOPIC, ["staying"])]


async def test_caller_cancelled_during_the_request_leaves_the_others_alone(broker):
    broker.default = hold
    leaving = asyncio.create_task(publish_text("leaving"))
    staying = asyncio.create_task(publish_text("staying"))
    await asyncio.to_thread(broker.wait_for_request)
    leaving.cancel()
    broker.release()
    assert await staying == "id of staying"
    with pytest.raises(asyncio.CancelledError):
        await leaving


# Loops and threads


def _publish_on_a_new_loop(text):
    return asyncio.run(publish_text(text))


def test_each_loop_has_a_client_that_ends_with_it(broker):
    ids = [_publish_on_a_new_loop(text) for text in "abc"]
    assert ids == ["id of a", "id of b", "id of c"]
    assert len(broker.connections) == 3
    gc.collect()  # what was left open would warn, and a warning is an error


def test_loop_with_a_client_ends_while_a_request_hangs(broker):
    broker.default = hold

    async def main():
        tasks = [asyncio.create_task(publish_text(str(number))) for number in range(3)]
        await asyncio.to_thread(broker.wait_for_request)
        return tasks

    tasks = asyncio.run(main())
    assert [task.cancelled() for task in tasks] == [True] * 3
    gc.collect()


@pytest.mark.filterwarnings("ignore:asynchronous generator:ResourceWarning")
def test_loop_whose_generators_are_shut_down_publishes_with_a_new_client(broker):
    loop = asyncio.new_event_loop()
    for text in ("one", "two"):
        assert loop.run_until_complete(publish_text(text)) == f"id of {text}"
        loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.mark.filterwarnings("ignore:Unclosed:ResourceWarning")
def test_loop_closed_in_a_hurry_is_forgotten_at_the_next_publish(broker):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(publish_text("one"))
    loop.close()
    remembered = weakref.ref(loop)
    del loop
    _publish_on_a_new_loop("two")
    gc.collect()
    assert remembered() is None


async def test_connection_is_not_of_the_task_that_opened_it(broker):
    class Value:
        pass

    variable = contextvars.ContextVar("variable")

    async def enqueue():
        value = Value()
        variable.set(value)
        await publish(TOPIC, b"one", {}, budget=1)  # whose timer holds it as long
        return weakref.ref(value)

    remembered = await asyncio.create_task(enqueue())
    await publish_text("two")  # on the connection that is kept alive
    assert len(broker.connections) == 1
    async with asyncio.timeout(LONG):
        while remembered() is not None:
            await asyncio.sleep(0.05)
            gc.collect()


def test_nothing_is_left_after_stop(broker):
    before = set(threading.enumerate())
    for _ in range(20):  # a thread that nobody waits for is now and then gone all the same
        assert publish_from_thread(TOPIC, b"one", {}, budget=LONG) == "id of one"
        assert set(threading.enumerate()) > before
        publishers.stop()
        assert set(threading.enumerate()) == before
    gc.collect()


def test_publisher_starts_again_after_stop(broker):
    for text in ("one", "two"):
        assert publish_from_thread(TOPIC, text.encode(), {}, budget=LONG) == f"id of {text}"
        publishers.stop()


def test_stop_leaves_a_waiting_thread_in_doubt(broker):
    broker.default = hold
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(publish_from_thread, TOPIC, b"one", {}, budget=LONG)
        broker.wait_for_request()
        publishers.stop()
        error = waiting.exception(LONG)
    assert isinstance(error, PublishError)
    assert error.maybe_published


def test_stop_refuses_what_was_not_sent(broker):
    broker.default = hold
    with ThreadPoolExecutor() as threads:
        sent = threads.submit(publish_from_thread, TOPIC, b"sent", {}, budget=LONG)
        broker.wait_for_request()
        waiting = threads.submit(publish_from_thread, TOPIC, b"waiting", {}, budget=LONG)
        wait_until(lambda: sum(map(waits_for_result, threads._threads)) == 2)
        publishers.stop()
        assert sent.exception(LONG).maybe_published
        assert not waiting.exception(LONG).maybe_published
        assert "stopped" in str(waiting.exception(LONG))


def test_what_comes_while_the_loop_ends_is_refused(broker):
    publish_from_thread(TOPIC, b"one", {}, budget=LONG)
    ending, made = publishers._background._get_loop(), set(publisher.publishers)
    answer = Future()

    def end_and_hand_over():  # in one turn of the loop, as when another thread calls stop()
        ending._ended.set()
        ending.hand_over(TOPIC, Pending(b"two", {}, LONG, answer))

    ending._loop.call_soon_threadsafe(end_and_hand_over)
    with pytest.raises(PublishError, match="stopped") as caught:
        answer.result(LONG)
    assert not caught.value.maybe_published
    assert broker.accepted == ["one"]
    assert set(publisher.publishers) <= made  # no other was made


async def test_loop_goes_on_where_its_tasks_were_cancelled(broker):
    broker.default = hold
    sending = asyncio.create_task(publish_text("one"))
    await asyncio.to_thread(broker.wait_for_request)
    for task in asyncio.all_tasks() - {asyncio.current_task(), sending}:
        task.cancel()
    with pytest.raises(PublishError, match="stopped") as caught:
        await sending
    assert caught.value.maybe_published
    broker.default = accept
    assert await publish_text("two") == "id of two"


def test_32_threads_share_one_connection_s_client(broker):
    def work(thread):
        texts = [f"{thread}-{number}" for number in range(20)]
        return [
            publish_from_thread(TOPIC, text.encode(), {}, budget=LONG) == f"id of {text}"
            for text in texts
        ]

    with ThreadPoolExecutor(32) as threads:
        results = list(threads.map(work, range(32)))
    assert all(map(all, results))
    assert len(broker.accepted) == 32 * 20
    assert len(broker.connections) <= publisher.MAX_TOPIC_REQUESTS


def test_threads_that_begin_at_once_share_one_loop(broker):
    begin = threading.Barrier(16)

    def work(number):
        begin.wait(LONG)
        publish_from_thread(TOPIC, str(number).encode(), {}, budget=LONG)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(16)))
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("asgi_tasks-publisher") == 1


def test_loops_of_many_threads_publish_at_the_same_time(broker):
    with ThreadPoolExecutor(16) as threads:
        ids = list(threads.map(_publish_on_a_new_loop, map(str, range(64))))
    assert ids == [f"id of {number}" for number in range(64)]


def test_loop_begins_to_publish_while_another_one_looks_for_its_client(broker):
    class Loop(asyncio.SelectorEventLoop):
        when_asked = None

        def is_closed(self):
            asked, self.when_asked = self.when_asked, None
            if asked:
                asked()
            return super().is_closed()

    def interrupt():
        thread = threading.Thread(target=third.run_until_complete, args=(publish_text("third"),))
        thread.start()
        thread.join(LONG)

    first, second, third = Loop(), asyncio.new_event_loop(), asyncio.new_event_loop()
    first.run_until_complete(publish_text("first"))
    first.when_asked = interrupt
    assert second.run_until_complete(publish_text("second")) == "id of second"
    for loop in (first, second, third):
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


# Credentials


@pytest.mark.parametrize("content", [None, "{}", '{"type": "unheard of"}'])
async def test_credentials_that_cannot_be_read_are_a_refusal(monkeypatch, tmp_path, content):
    path = tmp_path / "credentials.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(PublishError) as caught:
        await publish_text("one", budget=0.05)
    assert not caught.value.maybe_published
    gc.collect()


@pytest.fixture
async def google(broker, monkeypatch, tmp_path):
    """The broker, asking for a token that it grants itself."""
    path = tmp_path / "credentials.json"
    facts = {"client_id": "1", "client_secret": "2", "refresh_token": "3"}
    uri = f"http://{broker.host}/token"
    path.write_text(json.dumps({"type": "authorized_user", "token_uri": uri} | facts))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    await publish_text("makes the client, at the broker's address")
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST")
    broker.requests.clear()
    broker.arrived = threading.Semaphore(0)
    return broker


async def test_token_that_never_comes_is_a_refusal(google):
    google.default = hold
    with pytest.raises(PublishError) as caught:
        await publish_text("one", budget=0.05)
    assert not caught.value.maybe_published
    assert {path for path, _ in google.requests} == {"/token"}


async def test_token_given_up_by_one_topic_still_serves_the_other(google):
    async def grant_late(broker, request, messages):
        await broker.released.wait()
        return await grant(broker, request, messages)

    google.faults = [grant_late]
    hasty = asyncio.create_task(publish_text("hasty", TOPIC, budget=0.2))
    patient = asyncio.create_task(publish_text("patient", OTHER))
    with suppress(PublishError):
        await hasty
    google.release()
    assert await asyncio.wait_for(patient, LONG / 4) == "id of patient"


async def test_token_that_is_refused_is_not_asked_for_in_parts(google):
    google.default = status(400)
    results = await outcomes("abc")
    assert [type(result) for result in results] == [PublishError] * 3
    assert [path for path, _ in google.requests] == ["/token"]


@pytest.fixture
def stuck_credentials(monkeypatch, tmp_path):
    """Threads, and a file that blocks the loop that opens it, as a mount that hangs does."""
    path = tmp_path / "credentials.json"
    os.mkfifo(path)
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    threads = ThreadPoolExecutor()
    yield threads
    threads.submit(path.write_text, "{}").result(LONG)
    publishers.stop()
    threads.shutdown()


def test_blocked_loop_holds_no_thread_beyond_its_budget(stuck_credentials, monkeypatch):
    monkeypatch.setattr(publishers, "GRACE", 0.2)
    waiting = stuck_credentials.submit(publish_from_thread, TOPIC, b"one", {}, budget=0.1)
    error = waiting.exception(LONG)
    assert isinstance(error, PublishError)
    assert error.maybe_published
    assert "blocked" in str(error)


# Processes


def run(script, broker, *flags, when_busy=None):
    """The exit code, and all that the script printed."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", *flags, "-c", PRELUDE + script],
        cwd=ROOT,
        env={"PUBSUB_EMULATOR_HOST": broker.host},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        if when_busy:
            broker.wait_for_request()
        output, _ = process.communicate(when_busy, timeout=60)
        return process.returncode, output.strip()


PRELUDE = """
import asyncio, atexit, contextlib, os, sys, threading
from asgi_tasks.publishers import PublishError, publish, publish_from_thread, publisher

def send(text):
    return publish_from_thread("projects/tests/topics/one", text.encode(), {}, budget=10)

def send_on_a_loop(text):
    return asyncio.run(publish("projects/tests/topics/one", text.encode(), {}, budget=10))

def fork(function, text):
    child = os.fork()
    if child == 0:
        try:
            function(text)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        sys.exit()
    _, status = os.waitpid(child, 0)
    assert status == 0, status
"""


@pytest.mark.parametrize("parent", ["send", "send_on_a_loop"])
@pytest.mark.parametrize("child", ["send", "send_on_a_loop"])
def test_forked_child_publishes_and_so_does_its_parent(broker, parent, child):
    script = f"{parent}('before'); fork({child}, 'child'); {parent}('after')"
    flags = ("-W", "ignore:This process:DeprecationWarning")  # fork and threads: that is the test
    assert run(script, broker, *flags) == (0, "")
    assert sorted(broker.accepted) == ["after", "before", "child"]


def test_process_ends_in_silence_after_publishing_from_a_thread(broker):
    assert run("send('one')", broker) == (0, "")
    assert broker.accepted == ["one"]


def test_process_ends_while_a_daemon_thread_publishes(broker):
    broker.default = hold
    # Silent, since Python aborts when a daemon thread is caught printing at the very end.
    script = """
def try_to_send():
    with contextlib.suppress(PublishError):
        send("one")

threading.Thread(target=try_to_send, daemon=True).start()
input()
"""
    assert run(script, broker, when_busy="go on\n") == (0, "")


def test_publishing_at_exit_works_or_says_why_not(broker):
    script = """
@atexit.register
def late():
    try:
        print(send("late"))
    except PublishError as error:
        print(error.maybe_published)
"""
    assert run(script, broker)[1] in ("id of late", "False")


def test_loop_that_nobody_closed_ends_in_silence(broker):
    """Daphne never closes its loop."""
    script = """
loop = asyncio.new_event_loop()
loop.run_until_complete(publish("projects/tests/topics/one", b"one", {}, budget=10))
"""
    _, output = run(script, broker, "-W", "ignore:unclosed event loop:ResourceWarning")
    assert output == ""
