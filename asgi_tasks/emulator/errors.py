"""What a request can be refused with; the names are those of Google's canonical status codes."""

from typing import ClassVar, Final

ON_PURPOSE: Final = "This fault was asked for."


class EmulatorError(Exception):
    """A request was refused."""

    status: ClassVar[str] = "INTERNAL"
    http_status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(EmulatorError):
    """The request is wrong in itself; the message starts with the field's name."""

    status = "INVALID_ARGUMENT"
    http_status = 400


class NotFound(EmulatorError):
    """There is no such topic or subscription."""

    status = "NOT_FOUND"
    http_status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"Resource not found (resource={name.rpartition('/')[2]}).")


class AlreadyExists(EmulatorError):
    """A topic or subscription of that name is there already."""

    status = "ALREADY_EXISTS"
    http_status = 409

    def __init__(self, name: str) -> None:
        resource = name.rpartition("/")[2]
        super().__init__(f"Resource already exists in the project (resource={resource}).")


class FailedPrecondition(EmulatorError):
    """The request does not fit the state of what it names."""

    status = "FAILED_PRECONDITION"
    http_status = 400


class Aborted(EmulatorError):
    """Somebody else was faster: read again what is to be changed."""

    status = "ABORTED"
    http_status = 409


class PermissionDenied(EmulatorError):
    """The caller may not do that."""

    status = "PERMISSION_DENIED"
    http_status = 403


class Unimplemented(EmulatorError):
    """Google's Pub/Sub can do this, the emulator cannot."""

    status = "UNIMPLEMENTED"
    http_status = 501


class Unavailable(EmulatorError):
    """The service cannot answer now; the client may try again."""

    status = "UNAVAILABLE"
    http_status = 503


class ResourceExhausted(EmulatorError):
    """A quota is used up; the client may try again later."""

    status = "RESOURCE_EXHAUSTED"
    http_status = 429


class ConnectionLost(Unavailable):
    """Not to be answered at all: the connection is closed instead."""


_ON_REQUEST: Final[dict[int, type[EmulatorError]]] = {
    error.http_status: error for error in (PermissionDenied, ResourceExhausted, Unavailable)
}
REFUSALS: Final = tuple(_ON_REQUEST)  # the HTTP statuses that a call can be refused with on request


def refusal(status: int | None, message: str) -> EmulatorError:
    """The refusal of that HTTP status."""
    return _ON_REQUEST.get(status or 503, Unavailable)(message)
