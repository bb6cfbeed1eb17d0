"""What can go wrong in a test, or between it and the emulator."""

from ..exceptions import AsgiTasksError


class EmulatorError(AsgiTasksError):
    """The emulator refused a request, cannot be reached, or did not start."""


class DeliveryTimeout(AsgiTasksError, AssertionError, TimeoutError):
    """What was waited for did not happen in time; the message names what is missing."""


class NotAcknowledged(AsgiTasksError, AssertionError):
    """A push was not answered with 204, so that Pub/Sub would deliver the task again."""


class EndlessTasks(AsgiTasksError, AssertionError):
    """Tasks went on to enqueue tasks; the message names the last."""
