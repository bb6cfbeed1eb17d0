"""
The pytest plugin. Every pytest run loads it where asgi-tasks is installed, so it imports nothing
of weight before a fixture is used.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from .client import Emulator
from .options import EmulatorOptions
from .running import emulator_in_process, emulator_process

if TYPE_CHECKING:
    from .capturing import Capture
    from .outbox import TaskOutbox
    from .push_client import PushClient


@pytest.fixture
def task_options() -> Mapping[str, Any]:
    """Options for PubSubBackend in tests, such as `routes`; override it in your conftest.py."""
    return {}


@pytest.fixture
def _task_capture(
    request: pytest.FixtureRequest, task_options: Mapping[str, Any]
) -> "Iterator[Capture]":
    for name in ("db", "transactional_db"):  # of pytest-django, and before us
        if name in request.fixturenames:
            request.getfixturevalue(name)
    with ExitStack() as stack:
        yield _capture(request, stack, task_options)


def _capture(
    request: pytest.FixtureRequest, stack: ExitStack, options: Mapping[str, Any]
) -> "Capture":
    from django.core.exceptions import ImproperlyConfigured

    from .capturing import capturing, find_settings
    from .threads import shared_transaction

    try:
        _override(request, stack, TASKS=find_settings(options))
        capture = stack.enter_context(capturing())
        if inspect.iscoroutinefunction(request.function):
            stack.enter_context(shared_transaction())
        return capture
    except ImproperlyConfigured as error:
        problem = str(error)
    pytest.fail(problem, pytrace=False)


def _override(request: pytest.FixtureRequest, stack: ExitStack, **settings: Any) -> None:
    from django.test import override_settings

    plugins = request.config.pluginmanager
    if plugins.hasplugin("django") or plugins.hasplugin("pytest_django.plugin"):
        # Its fixture undoes what it has overridden in the right order, ours among it.
        for name, value in settings.items():
            setattr(request.getfixturevalue("settings"), name, value)
    else:
        stack.enter_context(override_settings(**settings))


@pytest.fixture
def task_outbox(_task_capture: "Capture") -> "TaskOutbox":
    """What the test has enqueued: nothing leaves the process."""
    return _task_capture.outbox


@pytest.fixture
def run_enqueued(task_outbox: "TaskOutbox") -> Callable[..., Any]:
    """See TaskOutbox.run_enqueued()."""
    return task_outbox.run_enqueued


@pytest.fixture
def arun_enqueued(task_outbox: "TaskOutbox") -> Callable[..., Any]:
    """See TaskOutbox.arun_enqueued()."""
    return task_outbox.arun_enqueued


@pytest.fixture
def push_client(_task_capture: "Capture") -> "PushClient":
    """Pushes tasks to the site's ASGI application, in this process."""
    return _task_capture.push_client


@pytest.fixture(scope="session")
def pubsub_emulator_options() -> EmulatorOptions:
    """What the two emulators are started with; override it in your conftest.py."""
    return {}


@pytest.fixture(scope="session")
def _pubsub_emulator_in_process(pubsub_emulator_options: EmulatorOptions) -> Iterator[Emulator]:
    with emulator_in_process(**pubsub_emulator_options) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def _pubsub_emulator_process(pubsub_emulator_options: EmulatorOptions) -> Iterator[Emulator]:
    with emulator_process(**pubsub_emulator_options) as emulator:
        yield emulator


@pytest.fixture
def pubsub_emulator(
    _pubsub_emulator_in_process: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]:
    """Pub/Sub's emulator, empty, in a thread of this process; PUBSUB_EMULATOR_HOST leads to it."""
    yield from _used(_pubsub_emulator_in_process, monkeypatch)


@pytest.fixture
def pubsub_emulator_process(
    _pubsub_emulator_process: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]:
    """Pub/Sub's emulator, empty, as a process of its own; PUBSUB_EMULATOR_HOST leads to it."""
    yield from _used(_pubsub_emulator_process, monkeypatch)


def _used(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    emulator.reset()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
    _forget_publisher()
    yield emulator
    _forget_publisher()


def _forget_publisher() -> None:
    """That of sync code outlives a test, and stays with the Pub/Sub it was made for."""
    if publishers := sys.modules.get("asgi_tasks.publishers"):
        publishers.stop()
