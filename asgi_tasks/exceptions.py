"""What can go wrong, by who has to act: the caller of enqueue, or the sender of a push."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar


class AsgiTasksError(Exception):
    """Base class of every error asgi_tasks raises."""


class Discard(AsgiTasksError):
    """Raise it in a task to give up: the task has FAILED and is not delivered again."""


class EnqueueError(AsgiTasksError):
    """Base class of what enqueue() and aenqueue() raise; the cause is chained."""


class EnqueueRefused(EnqueueError):
    """The task was not published. Nothing will run; mend the cause and enqueue it again."""


class RouteNotFound(EnqueueRefused):
    """The task has no route: nothing would receive it. Add a TaskRoute to the list named here."""


class InvalidArguments(EnqueueRefused, TypeError):
    """The arguments could not be received by the task. Nothing was sent."""


class EnqueueUnconfirmed(EnqueueError):
    """No answer came within the budget: the task may have been published.

    ``task_id`` (str) is the id of the task in doubt. Enqueue it again if running it twice is
    harmless; that second task has an id of its own.
    """

    def __init__(self, message: str, *, task_id: str = "") -> None:  # unpickled by its message
        super().__init__(message)
        self.task_id = task_id


class TracebackCut(AsgiTasksError):
    """Stands in the log for an error that is too long to be shown, or that fails to show itself."""

    def __init__(self, traceback: str, error: BaseException) -> None:
        super().__init__(traceback)
        self.error = error


class ProvisioningError(AsgiTasksError):
    """Pub/Sub could not be read or changed; the cause is chained."""


class PushRefused(AsgiTasksError):
    """Base class of the reasons not to run a push. The reason is logged, never answered.

    ``status`` (int) is the HTTP status of the answer; none of them acknowledges the message.
    ``fields`` (mapping of str to str or int) tell which message it was, as far as that is known.
    """

    status: ClassVar[int]
    fields: Mapping[str, str | int] = MappingProxyType({})


class InvalidMessage(PushRefused):
    """The message cannot be read, or could not be if it were sent."""

    status = 400


class Unauthenticated(PushRefused):
    """The caller did not prove to be Pub/Sub."""

    status = 401


class PermissionDenied(PushRefused):
    """The caller or the message is genuine, but not the one this task accepts."""

    status = 403


class TaskNotFound(PushRefused):
    """No route bears the name, or the message is too new: another revision may know it."""

    status = 404


class MethodNotAllowed(PushRefused):
    """Pushes are POSTs."""

    status = 405


class BodyTooSlow(PushRefused):
    """The body did not arrive in time."""

    status = 408


class BodyTooLarge(PushRefused):
    """The body is larger than a message enqueue() would have sent."""

    status = 413


class UnsupportedMediaType(PushRefused):
    """The body of a push is application/json."""

    status = 415


class Unavailable(PushRefused):
    """This process cannot run the task just now; Pub/Sub tries again."""

    status = 503
