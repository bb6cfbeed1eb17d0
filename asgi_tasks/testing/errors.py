"""What can go wrong between a test and the emulator."""

from ..exceptions import AsgiTasksError


class EmulatorError(AsgiTasksError):
    """The emulator refused a request, cannot be reached, or did not start."""


class DeliveryTimeout(AsgiTasksError, AssertionError, TimeoutError):
    """What was waited for did not happen in time; the message names what is missing."""
