"""For as long as a test lasts: tasks go into an outbox, by a PubSubBackend that needs no broker."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from .. import publishers
from ..backends import get_backend, require_backend
from .outbox import TaskOutbox
from .push_client import PushClient
from .pushing import Pusher

BACKEND = "asgi_tasks.backends.PubSubBackend"
OPTIONS = {
    "project_id": "tests",
    "service_url": "https://testserver",
    "push_service_account": "pubsub@tests.iam.gserviceaccount.com",
}


class Capture:
    """The helpers of one test."""

    def __init__(self, pusher: Pusher) -> None:
        self.outbox = TaskOutbox(pusher)
        self.push_client = PushClient(pusher)


@contextmanager
def capture_tasks(options: Mapping[str, Any] | None = None) -> Iterator[Capture]:
    """Have tasks enqueued into an outbox; give the helpers of a test.

    ``options`` are added to those of the PubSubBackend in TASKS. If there is none, as in
    development, TASKS gets one for as long as this lasts; it takes the routes from ``task_routes``
    beside the URLconf, unless the options name another module.

    Raise ImproperlyConfigured if the routes are not found or an option is wrong.
    """
    tasks = find_settings(options or {})
    with override_settings(TASKS=tasks), capturing() as capture:
        yield capture


@contextmanager
def capturing() -> Iterator[Capture]:
    """See capture_tasks(); TASKS has a PubSubBackend."""
    _ = require_backend().routes  # now, not in the midst of the test
    with closing(Pusher()) as pusher:
        capture = Capture(pusher)
        with publishers.diverted(capture.outbox._take):
            yield capture


def find_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """TASKS for the test."""
    tasks: dict[str, Any] = settings.TASKS
    if backend := get_backend():
        ours = tasks[backend.alias]
        return {
            **tasks,
            backend.alias: {**ours, "OPTIONS": {**(ours.get("OPTIONS") or {}), **options}},
        }
    ours = tasks.get("default", {})
    routes = {} if "routes" in options else {"routes": _find_routes()}
    merged = {**OPTIONS, **routes, **options}
    return {**tasks, "default": {**ours, "BACKEND": BACKEND, "OPTIONS": merged}}


def _find_routes() -> str:
    package = getattr(settings, "ROOT_URLCONF", "").rpartition(".")[0]
    path = f"{package}.task_routes".lstrip(".")
    if find_spec(path) is None:
        raise ImproperlyConfigured(
            "The routes of your tasks are not known: TASKS has no PubSubBackend, and there is no "
            f"module {path} beside ROOT_URLCONF. Name the module: "
            "override the fixture task_options to return {'routes': 'mysite.task_routes'}, or set "
            "task_options so in the test class."
        )
    return path
