"""
Helpers for tests of tasks, and Pub/Sub for tests: an outbox and pushes in process; the emulator,
to start it, disturb it, and assert on what it delivered.

Pytest finds the fixtures by itself; see docs/how-to/test-your-tasks.md and
docs/how-to/test-with-the-emulator.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .client import Clock, Emulator
from .errors import DeliveryTimeout, EmulatorError, EndlessTasks, NotAcknowledged
from .options import EmulatorOptions
from .records import Delivery, Message, State
from .running import emulator_in_process, emulator_process

if TYPE_CHECKING:
    from .capturing import capture_tasks
    from .mixins import TaskTestMixin
    from .outbox import TaskOutbox
    from .push_client import PushClient
    from .pushing import PushAnswer

__all__ = [
    "Clock",
    "Delivery",
    "DeliveryTimeout",
    "Emulator",
    "EmulatorError",
    "EmulatorOptions",
    "EndlessTasks",
    "Message",
    "NotAcknowledged",
    "PushAnswer",
    "PushClient",
    "State",
    "TaskOutbox",
    "TaskTestMixin",
    "capture_tasks",
    "emulator_in_process",
    "emulator_process",
]

# Later, because they bring Django: the emulator and the pytest plugin do without.
_MODULES = {
    "PushAnswer": "pushing",
    "PushClient": "push_client",
    "TaskOutbox": "outbox",
    "TaskTestMixin": "mixins",
    "capture_tasks": "capturing",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
