"""
The pytest plugin. Every pytest run loads it where asgi-tasks is installed, so it imports nothing
of weight before a fixture is used.
"""

import sys
from collections.abc import Iterator

import pytest

from .client import Emulator
from .options import EmulatorOptions
from .running import emulator_in_process, emulator_process


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
