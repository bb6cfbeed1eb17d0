import asyncio
import base64
import json
import threading
from datetime import date

import hypothesis
import pytest
from aiohttp import web
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.tasks import TaskResultStatus, default_task_backend, task
from django.tasks.exceptions import InvalidTask
from django.tasks.signals import task_enqueued
from django.utils import timezone
from hypothesis import strategies

from asgi_tasks import (
    EnqueueError,
    EnqueueRefused,
    EnqueueUnconfirmed,
    InvalidArguments,
    RouteNotFound,
    publishers,
)
from asgi_tasks.backends import PubSubBackend, get_backend, require_backend
from asgi_tasks.messages import PushEnvelope, TaskMessage, is_signed
from tests.processes import python
from tests.site import tasks

IMMEDIATE = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
LONG = 10  # seconds until a test gives up; nothing waits that long


@task
async def unrouted():
    pass


class Broker:
    """Takes publishes on a real socket, in a thread; `status` other than 200 refuses them."""

    def __init__(self):
        self.status = 200
        self.published = []  # (topic, message)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(LONG)

    def close(self):
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(LONG)

    async def _serve(self):
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._closing.wait()
        await runner.cleanup()

    async def _answer(self, request):
        messages = json.loads(await request.read())["messages"]
        topic = request.path.removeprefix("/v1/").removesuffix(":publish")
        self.published += [(topic, message) for message in messages]
        ids = [str(number) for number in range(len(messages))]
        return web.json_response({"messageIds": ids}, status=self.status)


@pytest.fixture
def broker(monkeypatch):
    broker = Broker()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", broker.host)
    yield broker
    publishers.stop()
    broker.close()


@pytest.fixture(params=["aenqueue", "enqueue"])
def enqueue(request):
    """task.aenqueue, or task.enqueue in a thread, as sync code would call it."""

    async def call(task, *args, **kwargs):
        if request.param == "aenqueue":
            return await task.aenqueue(*args, **kwargs)
        return await asyncio.to_thread(task.enqueue, *args, **kwargs)

    return call


@pytest.fixture
def options(settings):
    """Change options: options(publish_timeout=1)."""

    def change(**changes):
        default = settings.TASKS["default"]
        settings.TASKS = {"default": default | {"OPTIONS": default["OPTIONS"] | changes}}

    return change


# What is published


async def test_result_is_ready(broker, enqueue):
    before = timezone.now()
    result = await enqueue(tasks.add, 1, b=(2,))
    assert result.status == TaskResultStatus.READY
    assert (result.task, result.backend) == (tasks.add, "default")
    assert (result.args, result.kwargs) == ([1], {"b": [2]})
    assert before <= result.enqueued_at <= timezone.now()
    assert (result.started_at, result.finished_at, result.attempts) == (None, None, 0)


async def test_message_goes_to_the_topic_of_its_route(broker, enqueue):
    result = await enqueue(tasks.add_sync, 1, 2)
    ((topic, message),) = broker.published
    assert topic == "projects/tests/topics/test-site-add-sync"
    assert TaskMessage.decode(base64.b64decode(message["data"])) == TaskMessage(
        task_id=result.id,
        task_name="add_sync",
        args=[1, 2],
        kwargs={},
        enqueued_at=result.enqueued_at,
    )


async def test_message_is_signed(broker, enqueue, settings):
    await enqueue(tasks.add, 1, 2)
    ((_, message),) = broker.published
    data = base64.b64decode(message["data"])
    envelope = PushEnvelope(
        data=data, attributes=message["attributes"], message_id="1", subscription="any"
    )
    assert is_signed(TaskMessage.decode(data), envelope, [settings.SECRET_KEY])


async def test_ids_differ(broker, enqueue):
    results = [await enqueue(tasks.add, 1, 2) for _ in range(3)]
    assert len({result.id for result in results}) == 3


async def test_context_is_no_argument(broker, enqueue):
    result = await enqueue(tasks.fail_twice, "key")
    assert result.args == ["key"]


# Signal and log


async def test_task_enqueued_is_sent_with_the_result_after_the_publish(broker, enqueue):
    heard = []

    def receiver(sender, task_result, **kwargs):
        heard.append((sender, task_result, len(broker.published)))

    task_enqueued.connect(receiver)
    result = await enqueue(tasks.add, 1, 2)
    task_enqueued.disconnect(receiver)
    assert heard == [(PubSubBackend, result, 1)]


async def test_receiver_that_raises_does_not_fail_the_enqueue(broker, enqueue, caplog):
    def receiver(**kwargs):
        raise RuntimeError("a broken receiver")

    task_enqueued.connect(receiver)
    result = await enqueue(tasks.add, 1, 2)
    task_enqueued.disconnect(receiver)
    assert result.status == TaskResultStatus.READY
    assert "a broken receiver" in caplog.text


async def test_django_logs_the_enqueue(broker, enqueue, caplog):
    caplog.set_level("DEBUG", "django.tasks")
    result = await enqueue(tasks.add, 1, 2)
    (line,) = [r.getMessage() for r in caplog.records if r.name == "django.tasks"]
    assert line == f"Task id={result.id} path=tests.site.tasks.add enqueued backend=default"


async def test_nothing_is_sent_when_the_publish_fails(broker, enqueue):
    broker.status, heard = 403, []

    def receiver(**kwargs):
        heard.append(kwargs)

    task_enqueued.connect(receiver)
    with pytest.raises(EnqueueRefused):
        await enqueue(tasks.add, 1, 2)
    task_enqueued.disconnect(receiver)
    assert heard == []


# What fails


async def test_refused_by_the_broker(broker, enqueue):
    broker.status = 404
    with pytest.raises(EnqueueRefused, match=r"tests.site.tasks.add .*test-site-add") as caught:
        await enqueue(tasks.add, 1, 2)
    assert caught.value.__cause__.status == 404


async def test_not_confirmed_in_time(broker, enqueue, options):
    options(publish_timeout=0.1)
    broker.status = 503
    with pytest.raises(EnqueueUnconfirmed) as caught:
        await enqueue(tasks.add, 1, 2)
    sent = {message["attributes"]["task_id"] for _, message in broker.published}
    assert sent == {caught.value.task_id}


@pytest.mark.parametrize("error", [EnqueueRefused, EnqueueUnconfirmed, InvalidArguments])
def test_one_class_catches_every_failure(error):
    assert issubclass(error, EnqueueError)


async def test_task_without_a_route_names_the_list_to_edit(enqueue):
    with pytest.raises(RouteNotFound) as caught:
        await enqueue(unrouted)
    assert "TaskRoute(unrouted) to `task_routes` in tests.site.task_routes" in str(caught.value)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1, 2, 3), {}),
        ((1,), {"a": 1, "b": 2}),
        ((1, 2), {"c": 3}),
        ((1, date(2026, 1, 1)), {}),
        ((1, {1, 2}), {}),
        ((1, object()), {}),
        ((1, b"\xff"), {}),
        ((1, float("nan")), {}),
        ((1, float("inf")), {}),
        ((1, "\ud800"), {}),
        ((1, {2: "two"}), {}),
        ((1, 10**5000), {}),
        ((1, json.loads("[" * 100 + "]" * 100)), {}),
        ((1, "x" * 9_000_001), {}),
    ],
    ids=[
        "missing",
        "too many",
        "twice",
        "unknown",
        "date",
        "set",
        "object",
        "bytes",
        "NaN",
        "infinity",
        "surrogate",
        "key is a number",
        "long integer",
        "deep",
        "large",
    ],
)
async def test_arguments_are_refused_before_anything_is_sent(broker, enqueue, args, kwargs):
    with pytest.raises(InvalidArguments, match=r"tests\.site\.tasks\.add"):
        await enqueue(tasks.add, *args, **kwargs)
    assert broker.published == []


async def test_argument_that_contains_itself_is_refused(broker, enqueue):
    loop = []
    loop.append(loop)
    with pytest.raises(InvalidArguments):
        await enqueue(tasks.add, 1, loop)


async def test_largest_message(broker, enqueue, options):
    options(max_message_bytes=1_000)
    room = 1_000 - len(await _size_of_empty(broker, enqueue))
    await enqueue(tasks.add, 1, "x" * room)
    with pytest.raises(InvalidArguments, match="Store the data and pass its id"):
        await enqueue(tasks.add, 1, "x" * (room + 1))


async def _size_of_empty(broker, enqueue):
    """The data of a message; enqueued_at has the same length but once in a million."""
    await enqueue(tasks.add, 1, "")
    return base64.b64decode(broker.published.pop()[1]["data"])


async def test_enqueue_on_a_running_loop_names_aenqueue():
    with pytest.raises(SynchronousOnlyOperation, match=r"aenqueue\(\)"):
        tasks.add.enqueue(1, 2)


def test_enqueue_in_sync_code_runs_no_loop_of_its_own(broker):
    assert tasks.add.enqueue(1, 2).status == TaskResultStatus.READY


# The backend


def test_flags_say_what_pubsub_gives():
    flags = ("async_task", "defer", "get_result", "priority")
    assert {name: getattr(default_task_backend, f"supports_{name}") for name in flags} == {
        "async_task": True,
        "defer": False,
        "get_result": False,
        "priority": False,
    }


@pytest.mark.parametrize(
    "change", [{"priority": 1}, {"run_after": timezone.now()}, {"queue_name": "unheard of"}]
)
def test_what_pubsub_does_not_give_is_refused(change):
    with pytest.raises(InvalidTask):
        tasks.add.using(**change)


async def test_task_made_for_another_backend_is_validated_again(broker, enqueue, settings):
    production, settings.TASKS = settings.TASKS, IMMEDIATE
    urgent = tasks.add.using(priority=1)
    settings.TASKS = production
    with pytest.raises(InvalidTask):
        await enqueue(urgent, 1, 2)


async def test_lambda_is_no_task():
    with pytest.raises(InvalidTask):
        task(lambda: None)


def test_get_result_is_not_supported():
    with pytest.raises(NotImplementedError):
        default_task_backend.get_result("any")


def test_check_has_nothing_to_say_of_a_sound_site():
    assert default_task_backend.check() == []


def test_check_tells_what_is_wrong(options):
    options(project_id="")
    assert [message.id for message in default_task_backend.check()] == ["asgi_tasks.E002"]


def test_backend_of_the_site_is_found():
    assert isinstance(get_backend(), PubSubBackend)
    assert require_backend() is get_backend()


def test_site_without_a_pubsub_backend(settings):
    settings.TASKS = IMMEDIATE
    assert get_backend() is None
    with pytest.raises(ImproperlyConfigured, match="--settings"):
        require_backend()


def test_enqueue_never_loads_grpc(broker):
    assert python("-c", ENQUEUE, env={"PUBSUB_EMULATOR_HOST": broker.host}).strip() == "[] True"


ENQUEUE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.site.settings"
import django
django.setup()
from tests.site import tasks
assert "gcloud.aio" not in sys.modules
tasks.add.enqueue(1, 2)
heavy = ("grpc", "google.cloud.pubsub")
print([name for name in sys.modules if name.startswith(heavy)], "gcloud.aio.pubsub" in sys.modules)
"""


# What enqueue accepts, a push accepts

values = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text()
    | strategies.binary()
    | strategies.sampled_from(["\ud800", {1: 2}, object()]),
    lambda inner: (
        strategies.lists(inner)
        | strategies.tuples(inner)
        | strategies.dictionaries(strategies.text(), inner)
    ),
    max_leaves=10,
)


@hypothesis.settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    args=strategies.lists(values, max_size=3),
    kwargs=strategies.dictionaries(strategies.text(), values, max_size=3),
)
def test_what_enqueue_accepts_a_push_accepts(broker, settings, args, kwargs):
    broker.published.clear()
    try:
        result = tasks.echo.enqueue(*args, **kwargs)
    except InvalidArguments:
        assert broker.published == []
        return
    ((_, published),) = broker.published
    routes = default_task_backend.routes
    # The client writes base64 for URLs, and Pub/Sub pushes the common one.
    data = base64.b64encode(base64.urlsafe_b64decode(published["data"])).decode()
    push = {
        "message": published | {"messageId": "1", "data": data},
        "subscription": routes.subscription("echo"),
    }
    envelope = PushEnvelope.decode(json.dumps(push).encode())
    message = TaskMessage.decode(envelope.data)
    routes.resolve(message.task_name).bind(message.args, message.kwargs)
    assert (message.args, message.kwargs) == (result.args, result.kwargs)
    assert is_signed(message, envelope, [settings.SECRET_KEY])
