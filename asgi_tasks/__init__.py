"""An ASGI-native django.tasks backend for Google Cloud Pub/Sub push."""

from .exceptions import (
    AsgiTasksError,
    Discard,
    EnqueueError,
    EnqueueRefused,
    EnqueueUnconfirmed,
    InvalidArguments,
    RouteNotFound,
)
from .routes import TaskRoute

__all__ = [
    "AsgiTasksError",
    "Discard",
    "EnqueueError",
    "EnqueueRefused",
    "EnqueueUnconfirmed",
    "InvalidArguments",
    "RouteNotFound",
    "TaskRoute",
]
