"""What is measured, as an SDK receives it. Enqueues and pushes are real, in process."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
from django.tasks import task
from opentelemetry.semconv._incubating.metrics import messaging_metrics

from asgi_tasks import Discard, EnqueueError, TaskRoute, lanes, metrics
from asgi_tasks.asgi import PushEndpoint
from asgi_tasks.lanes import Borrower
from asgi_tasks.metrics import LaneUse
from asgi_tasks.oidc import Certificates
from tests.processes import python
from tests.tokens import CertificatesServer

LONG = 10  # seconds until a test gives up; nothing waits that long
TOPIC, SUBSCRIPTION = "test-site-measured", "test-site-measured-sub"
SENT = {"messaging_destination_name": TOPIC}
RECEIVED = {"messaging_destination_subscription_name": SUBSCRIPTION}

acts = {}  # what the tasks do


@task
async def measured(what="nothing"):
    done = acts[what]()
    return await done if asyncio.iscoroutine(done) else done


task_routes = [TaskRoute(measured)]


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

    async def push(*args, **how):
        endpoint = PushEndpoint(get_asgi_application())
        return await push_client.using(application=endpoint, **how).apush(measured, *args)

    return push


def raises(error):
    def do():
        raise error

    return do


# Enqueues


async def test_enqueue_is_counted_and_timed(figures, task_outbox):
    await measured.aenqueue()
    assert figures.value("messaging.client.sent.messages", **SENT) == 1
    (point,) = figures.points("messaging.client.operation.duration", **SENT)
    assert (point.count, point.sum > 0) == (1, True)
    assert dict(point.attributes) == {
        "messaging.system": "gcp_pubsub",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": TOPIC,
        "server.address": "pubsub.googleapis.com",
    }


def test_enqueue_from_sync_code_is_counted(figures, task_outbox):
    measured.enqueue()
    assert figures.value("messaging.client.sent.messages", **SENT) == 1


@pytest.mark.parametrize(
    ("maybe", "error"), [(False, "EnqueueRefused"), (True, "EnqueueUnconfirmed")]
)
async def test_enqueue_that_fails_is_counted_with_its_error(figures, task_outbox, maybe, error):
    with task_outbox.refusing(maybe_published=maybe), pytest.raises(EnqueueError):
        await measured.aenqueue()
    failed = {"error_type": f"asgi_tasks.exceptions.{error}", **SENT}
    assert figures.value("messaging.client.sent.messages", **failed) == 1
    assert figures.value("messaging.client.operation.duration", **failed) == 1


async def test_enqueue_that_was_never_tried_is_not_counted(figures, task_outbox):
    with pytest.raises(TypeError):
        await measured.aenqueue(1, 2, 3)
    assert figures.value("messaging.client.sent.messages", **SENT) == 0


# Deliveries


@pytest.mark.parametrize(
    ("do", "outcome", "error"),
    [
        (lambda: 1, "succeeded", None),
        (raises(Discard("gone")), "discarded", None),
        (raises(ValueError("wrong")), "failed", "ValueError"),
        (object, "result is not JSON", "TypeError"),
    ],
    ids=["succeeds", "discards", "fails", "returns an object"],
)
async def test_delivery_is_counted_and_timed_by_outcome(figures, push, do, outcome, error):
    acts["do"] = do
    await push("do")
    told = {"asgi_tasks_outcome": outcome, **RECEIVED}
    assert figures.value("messaging.client.consumed.messages", **told) == 1
    (point,) = figures.points("messaging.process.duration", **told)
    assert (point.count, point.sum > 0) == (1, True)
    assert dict(point.attributes) == {
        "messaging.system": "gcp_pubsub",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": SUBSCRIPTION,
        "messaging.destination.subscription.name": SUBSCRIPTION,
        "asgi_tasks.outcome": outcome,
        **({"error.type": error} if error else {}),
    }


async def test_delivery_that_is_interrupted_is_counted(figures, push):
    begun = asyncio.Event()

    async def wait():
        begun.set()
        await asyncio.Event().wait()

    acts["wait"] = wait
    pushing = asyncio.create_task(push("wait"))
    await asyncio.wait_for(begun.wait(), LONG)
    pushing.cancel()
    await asyncio.wait([pushing])
    told = {"asgi_tasks_outcome": "was interrupted", "error_type": "was interrupted", **RECEIVED}
    assert figures.value("messaging.client.consumed.messages", **told) == 1
    assert figures.value("asgi_tasks.active_deliveries", **RECEIVED) == 0


async def test_delivery_is_active_until_it_is_answered(figures, push):
    begun, going_on = asyncio.Event(), asyncio.Event()

    async def wait():
        begun.set()
        await going_on.wait()

    acts["wait"] = wait
    pushing = asyncio.create_task(push("wait"))
    await asyncio.wait_for(begun.wait(), LONG)
    assert figures.value("asgi_tasks.active_deliveries", **RECEIVED) == 1
    going_on.set()
    await pushing
    assert figures.value("asgi_tasks.active_deliveries", **RECEIVED) == 0


async def test_retry_is_counted_and_its_time_in_the_queue_is_not(figures, push):
    await push(attempt=2)
    assert figures.value("asgi_tasks.retries", **RECEIVED) == 1
    assert figures.value("asgi_tasks.queue.duration", **RECEIVED) == 0


async def test_first_delivery_is_no_retry(figures, push):
    await push(attempt=1)
    assert figures.value("asgi_tasks.retries", **RECEIVED) == 0
    assert figures.value("asgi_tasks.queue.duration", **RECEIVED) == 1


@pytest.mark.parametrize(
    ("ago", "seconds"),
    [(timedelta(hours=2), 7200), (timedelta(hours=-2), 0)],
    ids=["late", "early"],
)
def test_time_in_the_queue_is_since_the_enqueue(figures, ago, seconds):
    enqueued_at = datetime.now(UTC) - ago
    with metrics.delivering(subscription="s/measured", attempt=1, enqueued_at=enqueued_at):
        pass
    (point,) = figures.points("asgi_tasks.queue.duration", messaging_destination_name="measured")
    assert point.sum == pytest.approx(seconds, abs=60)


async def test_push_that_is_refused_is_counted_with_its_status(figures, push):
    await push(token="")
    assert figures.value("asgi_tasks.refused_pushes", http_response_status_code=401) == 1
    assert figures.value("messaging.client.consumed.messages", **RECEIVED) == 0


# The process


async def test_lanes_in_use_and_waiting_are_measured(figures):
    going_on = threading.Event()
    lanes._make_lanes.cache_clear()
    two = lanes.get_lanes(2)
    calls = [Borrower(two).submit(going_on.wait, LONG) for _ in range(3)]
    await until(lambda: figures.value("asgi_tasks.lane.pending_runs") == 1)
    assert figures.value("asgi_tasks.lane.count", asgi_tasks_lane_state="used") == 2
    assert figures.value("asgi_tasks.lane.count", asgi_tasks_lane_state="idle") == 0
    going_on.set()
    for call in calls:
        await asyncio.wrap_future(call)
    await until(lambda: figures.value("asgi_tasks.lane.count", asgi_tasks_lane_state="idle") == 2)
    assert figures.value("asgi_tasks.lane.pending_runs") == 0


async def until(condition):
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_lag_of_the_loop_is_measured_while_a_task_runs(figures, push):
    async def wait():
        await until(lambda: figures.value("asgi_tasks.event_loop.lag"))

    acts["wait"] = wait
    assert (await push("wait")).outcome == "succeeded"


async def test_lag_is_the_time_for_which_the_loop_stood(figures, push):
    async def block():
        await until(lambda: figures.value("asgi_tasks.event_loop.lag"))
        figures.clear()
        threading.Event().wait(0.5)
        await until(lambda: figures.value("asgi_tasks.event_loop.lag"))

    acts["block"] = block
    await push("block")
    assert sum(point.sum for point in figures.points("asgi_tasks.event_loop.lag")) > 0.2


async def test_fetch_of_certificates_is_counted(figures, signer):
    server = CertificatesServer(signer.by_key)
    try:
        await Certificates(server.url).get(next(iter(signer.by_key)))
    finally:
        await sync_to_async(server.close)()
    (point,) = figures.points("asgi_tasks.certificate.fetches")
    assert (point.value, dict(point.attributes)) == (1, {})


async def test_fetch_of_certificates_that_fails_is_counted_with_its_error(figures):
    with pytest.raises(Exception, match="ertificates"):
        await Certificates("http://127.0.0.1:1/").get("key")
    (point,) = figures.points("asgi_tasks.certificate.fetches")
    assert point.value == 1
    assert point.attributes["error.type"].startswith("aiohttp.")


# Names


async def test_names_and_units_of_messaging_are_those_of_the_conventions(
    figures, push, task_outbox
):
    await measured.aenqueue()
    await push()
    names = {value for name, value in vars(messaging_metrics).items() if name.isupper()}
    ours = {n: m for n, m in figures.metrics().items() if n.startswith("messaging.")}
    assert ours.keys() == {
        "messaging.client.sent.messages",
        "messaging.client.operation.duration",
        "messaging.client.consumed.messages",
        "messaging.process.duration",
    }
    assert ours.keys() <= names
    units = {n: "s" if n.endswith(".duration") else "{message}" for n in ours}
    assert {n: m.unit for n, m in ours.items()} == units


def test_buckets_of_a_run_reach_the_longest_deadline(figures):
    metrics.count_delivery(subscription="s/long", outcome="succeeded", seconds=599, error_type="")
    (point,) = figures.points("messaging.process.duration", messaging_destination_name="long")
    assert point.explicit_bounds[-1] == 600
    assert point.bucket_counts[-1] == 0


# Without OpenTelemetry

WITHOUT = """
import sys
from datetime import UTC, datetime
from asgi_tasks import metrics
metrics.count_sent(topic="t", seconds=1, error_type="")
with metrics.delivering(subscription="s", attempt=1, enqueued_at=datetime.now(UTC)):
    metrics.count_delivery(subscription="s", outcome="failed", seconds=1, error_type="X")
metrics.count_refused(401)
metrics.count_certificates_fetch(ValueError())
metrics.record_lag(1)
print("opentelemetry" in sys.modules)
"""

LATER = """
from asgi_tasks import metrics
metrics.count_refused(401)
from opentelemetry import metrics as api
metrics.count_refused(403)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
api.set_meter_provider(MeterProvider([reader]))
metrics.count_refused(404)
(resource,) = reader.get_metrics_data().resource_metrics
(scope,) = resource.scope_metrics
found = {metric.name: metric for metric in scope.metrics}["asgi_tasks.refused_pushes"]
print([dict(point.attributes)["http.response.status_code"] for point in found.data.data_points])
"""


def test_nothing_is_loaded_by_metrics():
    assert python("-c", WITHOUT) == "False\n"


def test_provider_may_come_later():
    assert python("-c", LATER) == "[404]\n"


def test_use_of_lanes_is_none_before_there_are_any():
    assert metrics._no_lanes() == LaneUse(used=0, idle=0, waiting=0)
