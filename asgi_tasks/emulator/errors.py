"""What a request can be refused with; the names are those of Google's canonical status codes."""

from typing import ClassVar


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


class PermissionDenied(EmulatorError):
    """Nobody is asked who they are, but a web page is not somebody at this machine."""

    status = "PERMISSION_DENIED"
    http_status = 403


class Unimplemented(EmulatorError):
    """Google's Pub/Sub can do this, the emulator cannot."""

    status = "UNIMPLEMENTED"
    http_status = 501
