import threading
from contextlib import ExitStack

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from asgi_tasks import EnqueueRefused, publishers
from asgi_tasks.backends import require_backend
from asgi_tasks.testing import capture_tasks
from tests.processes import free_port
from tests.site import tasks

IMMEDIATE = {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}


@pytest.mark.parametrize(
    "development", [{"default": IMMEDIATE}, {"default": IMMEDIATE, "other": IMMEDIATE}]
)
def test_settings_of_development_get_a_backend_with_the_routes_beside_the_urls(development):
    with override_settings(TASKS=development), capture_tasks() as capture:
        tasks.add.enqueue(1, 2)
        [answer] = capture.outbox.run_enqueued()
        assert require_backend().config.routes == "tests.site.task_routes"
    assert answer.result == 3


def test_helpers_closed_in_any_order_leave_nothing(monkeypatch):
    one, other = ExitStack(), ExitStack()
    one.enter_context(capture_tasks())
    other.enter_context(capture_tasks())
    for each in (one, other):
        each.close()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    publishers.stop()  # that of an earlier test
    with pytest.raises(EnqueueRefused):  # it goes to Pub/Sub again, which is not there
        tasks.add.enqueue(1, 2)
    publishers.stop()


def test_backend_of_the_settings_keeps_its_options(settings):
    options = dict(settings.TASKS["default"]["OPTIONS"])
    with capture_tasks({"environment": "other"}):
        changed = settings.TASKS["default"]["OPTIONS"]
    assert changed == options | {"environment": "other"}


def test_other_backends_are_kept():
    ours = {"BACKEND": "asgi_tasks.backends.PubSubBackend", "OPTIONS": {"threads": 3}}
    given = {
        "routes": "tests.unit.testing.routes",
        "project_id": "p1",
        "service_url": "https://shop.example",
        "push_service_account": "a@b",
    }
    with (
        override_settings(TASKS={"default": IMMEDIATE, "pubsub": ours}),
        capture_tasks(given),
    ):
        backend = require_backend()
        assert (backend.alias, backend.config.threads) == ("pubsub", 3)


@pytest.mark.parametrize(
    ("development", "options", "complaint"),
    [
        ({"ROOT_URLCONF": "asgi_tasks.urls"}, {}, "no module asgi_tasks.task_routes beside ROOT"),
        ({"ROOT_URLCONF": "urls"}, {}, "no module task_routes beside ROOT"),
        ({}, {"routes": "nowhere.task_routes"}, "cannot be loaded from 'nowhere.task_routes'"),
        ({}, {"route": "tests.site.task_routes"}, "'route' is not an option of PubSubBackend"),
    ],
)
def test_what_is_wrong_is_said_at_once(development, options, complaint):
    with (
        override_settings(TASKS={"default": IMMEDIATE}, **development),
        pytest.raises(ImproperlyConfigured, match=complaint),
        capture_tasks(options),
    ):
        pass


async def test_messages_are_handed_over_in_the_thread_that_publishes_them():
    here = str(threading.get_ident())
    with publishers.diverted(lambda *message: str(threading.get_ident())):
        assert await publishers.publish("topic", b"", {}, budget=1) == here
        assert publishers.publish_from_thread("topic", b"", {}, budget=1) == here


def test_captures_may_be_nested():
    with capture_tasks() as outer:
        with capture_tasks() as inner:
            tasks.add.enqueue(1, 2)
        tasks.add.enqueue(3, 4)
        assert [answer.result for answer in outer.outbox.run_enqueued()] == [7]
    assert [result.args for result in inner.outbox] == [[1, 2]]
