"""An ASGI-native django.tasks backend for Google Cloud Pub/Sub push."""

from typing import TYPE_CHECKING, Any

from .exceptions import (
    AsgiTasksError,
    Discard,
    EnqueueError,
    EnqueueRefused,
    EnqueueUnconfirmed,
    InvalidArguments,
    RouteNotFound,
)

if TYPE_CHECKING:
    from .conf import PubSubOptions
    from .routes import TaskRoute

__all__ = [
    "AsgiTasksError",
    "Discard",
    "EnqueueError",
    "EnqueueRefused",
    "EnqueueUnconfirmed",
    "InvalidArguments",
    "PubSubOptions",
    "RouteNotFound",
    "TaskRoute",
]


def __getattr__(name: str) -> Any:
    # Later, because it brings Django: the emulator and the pytest plugin do without.
    if name == "TaskRoute":
        from .routes import TaskRoute

        return TaskRoute
    if name == "PubSubOptions":
        from .conf import PubSubOptions

        return PubSubOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
