"""Spans, as an SDK receives them. Enqueues and pushes are real, in process."""

import asyncio
import json
import threading

import pytest
from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
from django.tasks import task
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.semconv._incubating.attributes import (
    code_attributes,
    error_attributes,
    messaging_attributes,
    server_attributes,
)
from opentelemetry.semconv.attributes import code_attributes as stable_code_attributes
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from asgi_tasks import Discard, EnqueueError, TaskRoute, tracing
from asgi_tasks.asgi import PushEndpoint
from asgi_tasks.deliveries import Outcome
from asgi_tasks.publishers import diverted
from tests.processes import python

LONG = 10  # seconds until a test gives up; nothing waits that long
TOPIC, SUBSCRIPTION = "test-site-act", "test-site-act-sub"
SEND, PROCESS = f"send {TOPIC}", f"process {SUBSCRIPTION}"
OF_ACT = {"messaging_destination_subscription_name": SUBSCRIPTION}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
tracer = trace.get_tracer("tests")

acts = {}  # what the tasks do


def leaf():
    with tracer.start_as_current_span("leaf"):
        pass


@task
async def act(what="nothing"):
    done = acts[what]()
    return await done if asyncio.iscoroutine(done) else done


@task
def act_sync(what="nothing"):
    return acts[what]()


@task
async def act_briefly():
    await asyncio.Event().wait()


@task
def wait_briefly():
    acts["wait"]()


task_routes = [
    TaskRoute(act),
    TaskRoute(act_sync),
    TaskRoute(act_briefly, timeout=0.01),
    TaskRoute(wait_briefly, timeout=0.2),
]
both_kinds = pytest.mark.parametrize("task", [act, act_sync], ids=["coroutine", "sync"])


@pytest.fixture
def task_options():
    return {"routes": __name__}


@pytest.fixture(autouse=True)
def _acts():
    acts["nothing"] = lambda: None
    yield
    acts.clear()


@pytest.fixture
def push(push_client):
    """Push to PushEndpoint."""

    async def push(task, *args, **how):
        endpoint = PushEndpoint(get_asgi_application())
        return await push_client.using(application=endpoint, **how).apush(task, *args)

    return push


def names(module):
    return {value for name, value in vars(module).items() if name.isupper()}


CONVENTIONS = (
    names(messaging_attributes)
    | names(error_attributes)
    | names(server_attributes)
    | names(stable_code_attributes)
    | names(code_attributes)
)


# The PRODUCER span


@both_kinds
async def test_enqueue_has_a_producer_span(spans, task_outbox, task):
    result = await task.aenqueue()
    topic = f"test-site-{task.name.replace('_', '-')}"
    span = spans.one(f"send {topic}")
    assert (span.kind, span.status.status_code) == (SpanKind.PRODUCER, StatusCode.UNSET)
    assert span.attributes["messaging.message.id"]
    assert span.attributes["messaging.message.body.size"] > 0
    assert (
        span.attributes.items()
        >= {
            "messaging.system": "gcp_pubsub",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": topic,
            "server.address": "pubsub.googleapis.com",
            "asgi_tasks.task.name": task.name,
            "asgi_tasks.task.id": result.id,
        }.items()
    )


def test_enqueue_from_sync_code_has_the_same_span(spans, task_outbox):
    with tracer.start_as_current_span("page") as page:
        act.enqueue()
    assert spans.one(SEND).parent.span_id == page.get_span_context().span_id


async def test_enqueue_is_the_child_of_the_request(spans, task_outbox):
    with tracer.start_as_current_span("page") as page:
        await act.aenqueue()
    assert spans.one(SEND).parent == page.get_span_context()


@pytest.mark.parametrize("maybe", [False, True], ids=["refused", "unconfirmed"])
async def test_enqueue_that_fails_has_an_error(spans, task_outbox, maybe):
    with task_outbox.refusing(maybe_published=maybe), pytest.raises(EnqueueError) as error:
        await act.aenqueue()
    span = spans.one(SEND)
    assert span.status.status_code == StatusCode.ERROR
    assert span.status.description == str(error.value)
    assert span.attributes["error.type"] == f"asgi_tasks.exceptions.{error.type.__name__}"
    assert [event.name for event in span.events] == ["exception"]


async def test_emulator_is_where_it_sends_to(spans, task_outbox, monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "[::1]:8085")
    await act.aenqueue()
    assert spans.one(SEND).attributes["server.address"] == "[::1]"


# On the way


@pytest.fixture
def carried(task_outbox):
    """The data and the attributes of what is published."""
    carried = []

    def carry(topic, data, attributes):
        carried.append((data, attributes))
        return "1"

    with diverted(carry):
        yield carried


async def test_message_carries_the_span_for_google_and_for_others(spans, carried):
    await act.aenqueue()
    sent = spans.one(SEND).context
    expected = f"00-{sent.trace_id:032x}-{sent.span_id:016x}-{sent.trace_flags:02x}"
    ((_, attributes),) = carried
    assert attributes["googclient_traceparent"] == attributes["traceparent"] == expected
    assert "tracestate" not in attributes


async def test_message_carries_the_state_of_the_trace(spans, carried):
    fields = {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}
    token = context.attach(TraceContextTextMapPropagator().extract(fields))
    await act.aenqueue()
    context.detach(token)
    ((_, attributes),) = carried
    assert attributes["googclient_tracestate"] == attributes["tracestate"] == "vendor=1"


async def test_message_carries_no_baggage(spans, carried):
    token = context.attach(baggage.set_baggage("user", "secret"))
    await act.aenqueue()
    context.detach(token)
    assert "secret" not in str(carried)


# The CONSUMER span


@both_kinds
async def test_run_is_the_child_of_its_enqueue(spans, task_outbox, arun_enqueued, task):
    acts["leaf"] = leaf
    await task.aenqueue("leaf")
    await arun_enqueued()
    slug = f"test-site-{task.name.replace('_', '-')}"
    sent, run = spans.one(f"send {slug}"), spans.one(f"process {slug}-sub")
    assert run.kind == SpanKind.CONSUMER
    assert (run.context.trace_id, run.parent.span_id) == (
        sent.context.trace_id,
        sent.context.span_id,
    )
    assert [link.context.span_id for link in run.links] == [sent.context.span_id]
    assert spans.one("leaf").parent.span_id == run.context.span_id


async def test_attributes_of_a_run(spans, push):
    answer = await push(act, attempt=3)
    attributes = dict(spans.one(PROCESS).attributes)
    assert attributes.pop("messaging.message.id")
    assert attributes == {
        "messaging.system": "gcp_pubsub",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": SUBSCRIPTION,
        "messaging.destination.subscription.name": SUBSCRIPTION,
        "messaging.gcp_pubsub.message.delivery_attempt": 3,
        "code.function.name": "tests.unit.test_tracing.act",
        "asgi_tasks.task.name": "act",
        "asgi_tasks.task.id": answer.task_id,
        "asgi_tasks.outcome": "succeeded",
    }


async def test_attributes_are_those_of_the_conventions(spans, task_outbox, arun_enqueued):
    await act.aenqueue()
    acts["nothing"] = raises(ValueError)
    await arun_enqueued(raise_errors=False)
    used = {name for span in spans.ended for name in span.attributes}
    assert {name for name in used if not name.startswith("asgi_tasks.")} <= CONVENTIONS


async def test_attribute_of_google_comes_before_that_of_others(spans, push):
    other = f"00-{TRACE[::-1]}-{SPAN}-01"
    await push(act, attributes={"googclient_traceparent": TRACEPARENT, "traceparent": other})
    assert f"{spans.one(PROCESS).context.trace_id:032x}" == TRACE


async def test_attribute_of_others_will_do(spans, push):
    await push(act, attributes={"traceparent": TRACEPARENT, "tracestate": "vendor=1"})
    span = spans.one(PROCESS)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.context.trace_state["vendor"] == "1"


async def test_run_of_a_trace_that_is_not_sampled_is_not_recorded(spans, push):
    await push(act, attributes={"traceparent": f"00-{TRACE}-{SPAN}-00"})
    assert spans.ended == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"traceparent": ""},
        {"traceparent": "x" * 1024},
        {"traceparent": TRACEPARENT.upper()},
        {"traceparent": TRACEPARENT + "-more"},
        {"traceparent": f"ff-{TRACE}-{SPAN}-01"},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {
            "traceparent": "00-\u0664\u0664-\ud83d\ude00".encode("utf-16", "surrogatepass").decode(
                "utf-16"
            )
        },
        {"Googclient_Traceparent": TRACEPARENT, "TRACEPARENT": TRACEPARENT},
        {"tracestate": "vendor=1"},
        {"googclient_traceparent": "no", "traceparent": "neither"},
    ],
    ids=[
        "empty",
        "long",
        "upper case",
        "too many parts",
        "version ff",
        "no trace",
        "not ASCII",
        "other names",
        "a state alone",
        "both wrong",
    ],
)
async def test_attributes_that_tell_of_no_trace_change_nothing_else(spans, push, attributes):
    answer = await push(act, attributes=attributes)
    span = spans.one(PROCESS)
    assert (answer.status, answer.outcome) == (204, "succeeded")
    assert span.parent is None
    assert span.links == ()


@pytest.mark.parametrize(
    "state",
    ["x" * 1024, "a=" + "b" * 300, ",".join(f"k{n}=1" for n in range(200)), "=;,\n"],
    ids=["long", "a long value", "many", "malformed"],
)
async def test_state_that_is_none_changes_nothing_else(spans, push, state):
    answer = await push(act, attributes={"traceparent": TRACEPARENT, "tracestate": state})
    assert answer.status == 204
    assert f"{spans.one(PROCESS).context.trace_id:032x}" == TRACE


async def test_wrong_attribute_of_google_does_not_hide_that_of_others(spans, push):
    await push(act, attributes={"googclient_traceparent": "no", "traceparent": TRACEPARENT})
    assert f"{spans.one(PROCESS).parent.span_id:016x}" == SPAN


async def test_push_that_is_refused_has_no_span(spans, push):
    assert (await push(act, token="")).status == 401
    assert spans.ended == []


# What the task does


async def in_thread():
    await sync_to_async(leaf)()


async def in_child():
    await asyncio.create_task(in_thread())


@pytest.mark.parametrize(
    ("task", "do"),
    [(act, leaf), (act, in_thread), (act, in_child), (act_sync, leaf)],
    ids=["on the loop", "in a thread", "in a task of its own", "in a lane"],
)
async def test_spans_of_the_task_are_children(spans, push, task, do):
    acts["do"] = do
    await push(task, "do")
    (run,) = [span for span in spans.ended if span.name.startswith("process ")]
    assert spans.one("leaf").parent == run.context


@pytest.mark.parametrize("how", ["enqueue", "aenqueue"])
async def test_enqueue_within_a_task_is_a_child(spans, task_outbox, arun_enqueued, how):
    def enqueue():
        act.enqueue()

    async def aenqueue():
        await act.aenqueue()

    acts.update(enqueue=enqueue, aenqueue=aenqueue)
    await (act_sync if how == "enqueue" else act).aenqueue(how)
    await arun_enqueued()
    first, second = [s for s in spans.ended if s.kind == SpanKind.CONSUMER]
    assert first.context.trace_id == second.context.trace_id
    inner = next(s for s in spans.ended if s.context.span_id == second.parent.span_id)
    assert inner.parent == first.context


# How it ends


def raises(error):
    def do():
        raise error

    return do


@both_kinds
@pytest.mark.parametrize(
    ("do", "outcome", "status", "error"),
    [
        (lambda: 1, Outcome.SUCCEEDED, StatusCode.UNSET, None),
        (raises(Discard("gone")), Outcome.DISCARDED, StatusCode.UNSET, None),
        (raises(ValueError("wrong")), Outcome.FAILED, StatusCode.ERROR, "ValueError"),
        (
            raises(json.JSONDecodeError("", "", 0)),
            Outcome.FAILED,
            StatusCode.ERROR,
            "json.decoder.JSONDecodeError",
        ),
        (raises(SystemExit(3)), Outcome.FAILED, StatusCode.ERROR, "SystemExit"),
        (object, Outcome.RESULT_NOT_JSON, StatusCode.ERROR, "TypeError"),
    ],
    ids=["returns", "discards", "raises", "raises of a module", "exits", "returns an object"],
)
async def test_status_of_a_run(spans, push, task, do, outcome, status, error):
    acts["do"] = do
    await push(task, "do")
    (span,) = [span for span in spans.ended if span.name.startswith("process ")]
    assert span.attributes["asgi_tasks.outcome"] == outcome.word
    assert (span.status.status_code, span.attributes.get("error.type")) == (status, error)
    assert span.status.description == (outcome.word if error else None)


@both_kinds
async def test_error_of_a_run_is_an_event(spans, push, task):
    acts["do"] = raises(ValueError("wrong"))
    await push(task, "do")
    (span,) = [span for span in spans.ended if span.name.startswith("process ")]
    (event,) = span.events
    assert event.attributes["exception.message"] == "wrong"
    assert "test_tracing.py" in event.attributes["exception.stacktrace"]


async def test_error_that_is_cut_keeps_its_type(spans, push):
    acts["do"] = raises(ValueError("x" * 100_000))
    await push(act, "do")
    span = spans.one(PROCESS)
    (event,) = span.events
    assert span.attributes["error.type"] == event.attributes["exception.type"] == "ValueError"
    assert len(event.attributes["exception.stacktrace"]) < 70_000


async def test_error_that_cannot_be_shown_changes_nothing_else(spans, push):
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    acts["do"] = raises(Silent())
    answer = await push(act, "do")
    assert (answer.status, answer.outcome) == (500, "failed")
    span = spans.one(PROCESS)
    assert span.status.status_code == StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


async def test_timeout_of_a_coroutine_is_an_error(spans, push):
    assert (await push(act_briefly)).status == 504
    span = spans.one("process test-site-act-briefly-sub")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "timed out")
    assert span.attributes["error.type"] == "TimeoutError"


async def test_run_that_outlives_its_push_has_the_outcome_of_the_push(spans, push):
    going_on = threading.Event()
    acts["wait"] = lambda: going_on.wait(LONG)
    assert (await push(wait_briefly)).status == 504
    going_on.set()
    await others_end()
    span = spans.one("process test-site-wait-briefly-sub")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "timed out")
    assert span.attributes["asgi_tasks.outcome"] == span.attributes["error.type"] == "timed out"
    (event,) = span.events
    assert (event.name, dict(event.attributes)) == (
        "asgi_tasks.late",
        {"asgi_tasks.outcome": "succeeded"},
    )


async def test_run_that_is_interrupted_is_an_error(spans, push):
    begun = asyncio.Event()

    async def wait():
        begun.set()
        await asyncio.Event().wait()

    acts["do"] = wait
    pushing = asyncio.create_task(push(act, "do"))
    await asyncio.wait_for(begun.wait(), LONG)
    pushing.cancel()
    await asyncio.wait([pushing])
    await others_end()
    span = spans.one(PROCESS)
    assert (span.status.status_code, span.status.description) == (
        StatusCode.ERROR,
        "was interrupted",
    )
    assert span.attributes["error.type"] == "was interrupted"
    assert span.events == ()


async def others_end():
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=LONG)


@pytest.fixture
def push_twice(carried, push, figures):
    """Push a task, and push it again while it runs; the second client may leave before its end."""

    async def push_twice(do, *, leaves=False):
        begun, going_on = asyncio.Event(), asyncio.Event()

        async def wait():
            begun.set()
            await going_on.wait()
            do()

        acts["wait"] = wait
        await act.aenqueue("wait")
        ((data, attributes),) = carried
        message = {"data": data, "attributes": attributes}
        first = asyncio.create_task(push(act, **message))
        await asyncio.wait_for(begun.wait(), LONG)
        second = asyncio.create_task(push(act, attempt=2, **message))
        while figures.value("asgi_tasks.active_deliveries", **OF_ACT) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        if leaves:
            second.cancel()
            await asyncio.wait([second])
        going_on.set()
        await asyncio.wait([first, second])

    return push_twice


async def test_redelivery_that_joins_a_run_has_a_span_that_links_to_it(spans, push_twice):
    await push_twice(leaf)
    one, two = sorted(spans.named(PROCESS), key=attempt)
    assert (attempt(one), attempt(two)) == (1, 2)
    assert one.parent == two.parent
    assert one.context.span_id in [link.context.span_id for link in two.links]
    assert spans.one("leaf").parent == one.context


@pytest.mark.parametrize(
    ("do", "status", "outcome"),
    [(leaf, StatusCode.UNSET, "succeeded"), (raises(ValueError()), StatusCode.ERROR, "failed")],
    ids=["succeeds", "fails"],
)
async def test_redelivery_that_joins_a_run_ends_like_it(spans, push_twice, do, status, outcome):
    await push_twice(do)
    for span in spans.named(PROCESS):
        assert span.status.status_code == status
        assert span.attributes["asgi_tasks.outcome"] == outcome


async def test_redelivery_that_is_interrupted_leaves_the_run_alone(spans, push_twice):
    await push_twice(leaf, leaves=True)
    one, two = sorted(spans.named(PROCESS), key=attempt)
    assert one.attributes["asgi_tasks.outcome"] == "succeeded"
    assert two.attributes["asgi_tasks.outcome"] == "was interrupted"
    assert (one.status.status_code, two.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)


def attempt(span):
    return span.attributes["messaging.gcp_pubsub.message.delivery_attempt"]


# Within Django


@pytest.fixture
def instrumented(settings):
    """An application of Django's with OpenTelemetry's middleware."""
    settings.MIDDLEWARE = []
    DjangoInstrumentor().instrument()
    yield get_asgi_application()
    DjangoInstrumentor().uninstrument()


class TestView:
    @pytest.fixture
    def task_options(self):
        return {"routes": __name__, "push_path": "/view/pubsub/"}

    async def test_run_links_to_the_request_that_brings_the_push(
        self, spans, push_client, instrumented
    ):
        client = push_client.using(
            application=instrumented, attributes={"traceparent": TRACEPARENT}
        )
        assert (await client.apush(act)).status == 204
        (request,) = [span for span in spans.ended if span.kind == SpanKind.SERVER]
        run = spans.one(PROCESS)
        assert f"{run.parent.span_id:016x}" == SPAN
        assert request.context in [link.context for link in run.links]
        assert request.context.trace_id != run.context.trace_id

    async def test_run_without_a_sender_is_the_child_of_the_request(
        self, spans, push_client, instrumented
    ):
        client = push_client.using(application=instrumented, attributes={"traceparent": "no"})
        await client.apush(act)
        (request,) = [span for span in spans.ended if span.kind == SpanKind.SERVER]
        run = spans.one(PROCESS)
        assert (run.parent, run.links) == (request.context, ())

    async def test_endpoint_before_django_has_no_span_of_the_request(
        self, spans, push_client, instrumented
    ):
        await push_client.using(application=PushEndpoint(instrumented)).apush(act)
        assert [span.name for span in spans.ended] == [PROCESS]


# Without OpenTelemetry


WITHOUT = """
import sys
from asgi_tasks import logs, metrics, tracing
with tracing.sending("projects/p/topics/t", {}) as carried:
    tracing.note({"a": 1})
with tracing.processing("projects/p/subscriptions/s", {"traceparent": "x"}, {}) as span:
    span.tell("failed", ValueError())
print(carried, span.context, tracing.place(), "opentelemetry" in sys.modules)
"""


def test_nothing_is_loaded_by_tracing():
    assert python("-c", WITHOUT) == "{} None None False\n"


async def test_place_is_that_of_the_span_under_way(spans):
    assert tracing.place() is None
    with tracer.start_as_current_span("page") as page:
        place = tracing.place()
    ids = page.get_span_context()
    assert place == (f"{ids.trace_id:032x}", f"{ids.span_id:016x}", True)
