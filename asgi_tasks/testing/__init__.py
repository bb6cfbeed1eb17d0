"""
Pub/Sub for tests: start the emulator, disturb it, and assert on what it delivered.

Pytest finds the fixtures ``pubsub_emulator`` and ``pubsub_emulator_process`` by itself; see
docs/how-to/test-with-the-emulator.md.
"""

from .client import Clock, Emulator
from .errors import DeliveryTimeout, EmulatorError
from .options import EmulatorOptions
from .records import Delivery, Message, State
from .running import emulator_in_process, emulator_process

__all__ = [
    "Clock",
    "Delivery",
    "DeliveryTimeout",
    "Emulator",
    "EmulatorError",
    "EmulatorOptions",
    "Message",
    "State",
    "emulator_in_process",
    "emulator_process",
]
