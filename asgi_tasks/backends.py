"""PubSubBackend: Django's task backend that publishes to Pub/Sub."""

import functools
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.tasks import Task, TaskResult, TaskResultStatus, task_backends
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.signals import task_enqueued
from django.utils import timezone
from django.utils.asyncio import async_unsafe

from . import checks, metrics, publishers, signals, tracing
from .conf import BackendOptions, get_options
from .exceptions import (
    EnqueueError,
    EnqueueRefused,
    EnqueueUnconfirmed,
    InvalidArguments,
    InvalidMessage,
)
from .messages import TaskMessage, make_attributes
from .routes import RouteTable, TaskRoute, get_route_table

logger = logging.getLogger("asgi_tasks")


@dataclass(slots=True, kw_only=True)
class _Publication[**P, R]:
    """A task ready to be published, and what enqueue() will return."""

    result: "TaskResult[P, R]"
    task_name: str  # on the wire
    topic: str
    data: bytes
    attributes: dict[str, str]
    message_id: str = ""  # once the broker gave one


class PubSubBackend(BaseTaskBackend):
    """Publishes tasks to Pub/Sub, which pushes them back to PushEndpoint.

    Delays, priorities and results are not Pub/Sub's to give, and the flags say so.
    """

    supports_async_task = True

    @property
    def config(self) -> BackendOptions:
        """The parsed OPTIONS. Raise InvalidConfiguration if they are wrong."""
        return get_options(self.alias)

    @property
    def routes(self) -> RouteTable:
        """The routes of the site. Raise InvalidConfiguration if they are wrong."""
        return get_route_table(self.alias)

    @async_unsafe("enqueue() would block the event loop. Use aenqueue(): await task.aenqueue(...).")
    def enqueue[**P, R](
        self, task: "Task[P, R]", args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> "TaskResult[P, R]":
        """Publish the task and return a READY result once the broker has confirmed it.

        Raise RouteNotFound, InvalidArguments or EnqueueRefused if nothing was published, and
        EnqueueUnconfirmed if that is not known when the option `publish_timeout` is over.
        """
        publication = self._prepare(task, args, kwargs)
        with _Enqueuing(publication) as attributes:
            publication.message_id = publishers.publish_from_thread(
                publication.topic,
                publication.data,
                attributes,
                budget=self.config.publish_timeout,
            )
        signals.send(task_enqueued, type(self), lambda: publication.result)
        return publication.result

    async def aenqueue[**P, R](
        self, task: "Task[P, R]", args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> "TaskResult[P, R]":
        """See enqueue()."""
        publication = self._prepare(task, args, kwargs)
        with _Enqueuing(publication) as attributes:
            publication.message_id = await publishers.publish(
                publication.topic,
                publication.data,
                attributes,
                budget=self.config.publish_timeout,
            )
        await signals.asend(task_enqueued, type(self), lambda: publication.result)
        return publication.result

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """The system checks of this backend, its options and routes."""
        return list(checks.check_backend(self))

    def _prepare[**P, R](
        self, task: "Task[P, R]", args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> "_Publication[P, R]":
        self.validate_task(task)
        routes = self.routes
        route = routes.route_for(task)
        now = timezone.now()
        result = self._make_result(task, args, kwargs, now)
        message = TaskMessage(
            task_id=result.id,
            task_name=route.name,
            args=result.args,
            kwargs=result.kwargs,
            enqueued_at=now,
        )
        data = self._encode(route, message)
        return _Publication(
            result=result,
            task_name=route.name,
            topic=routes.topic(route.name),
            data=data,
            attributes=make_attributes(message, data, routes.signing_keys[0]),
        )

    def _make_result[**P, R](
        self, task: "Task[P, R]", args: Sequence[Any], kwargs: Mapping[str, Any], now: datetime
    ) -> "TaskResult[P, R]":
        try:
            return TaskResult(
                task=task,
                id=str(uuid.uuid4()),
                status=TaskResultStatus.READY,
                enqueued_at=now,
                started_at=None,
                finished_at=None,
                last_attempted_at=None,
                args=list(args),
                kwargs=dict(kwargs),
                backend=self.alias,
                errors=[],
                worker_ids=[],
            )
        except (TypeError, ValueError, RecursionError) as error:
            reason = f"{task.module_path}: the arguments are not JSON: {error}"
            raise InvalidArguments(reason) from error

    def _encode(self, route: TaskRoute, message: TaskMessage) -> bytes:
        path = route.task.module_path
        try:
            route.bind(message.args, message.kwargs)
            data = message.encode()
        except (TypeError, InvalidMessage) as error:
            raise InvalidArguments(f"{path}: {error}") from error
        if len(data) > self.config.max_message_bytes:
            raise InvalidArguments(
                f"{path}: the message has {len(data):,} bytes, more than max_message_bytes "
                f"({self.config.max_message_bytes:,}). Store the data and pass its id."
            )
        return data


@functools.cache
def get_backend() -> PubSubBackend | None:
    """The site's PubSubBackend; None if it uses another one, as development does."""
    return next((b for b in task_backends.all() if isinstance(b, PubSubBackend)), None)


@receiver(setting_changed)
def clear_backend(*, setting: str, **kwargs: Any) -> None:
    """Forget the backend when a test changes the settings it comes from."""
    if setting == "TASKS":
        get_backend.cache_clear()


def require_backend() -> PubSubBackend:
    """See get_backend(). Raise ImproperlyConfigured instead of returning None."""
    backend = get_backend()
    if backend is None:
        raise ImproperlyConfigured(
            "These settings have no PubSubBackend in TASKS. Choose the production settings with "
            "--settings or DJANGO_SETTINGS_MODULE."
        )
    return backend


class _Enqueuing:
    """A span, figures, a line, and the right error. Its value: what to publish beside the data."""

    __slots__ = ("_publication", "_span", "_started")

    def __init__(self, publication: _Publication[..., Any]) -> None:
        self._publication = publication

    def __enter__(self) -> dict[str, str]:
        publication, self._started = self._publication, time.monotonic()
        self._span = _span_of(publication)
        carrier = self._span.__enter__()
        return publication.attributes | carrier if carrier else publication.attributes

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        publication = self._publication
        if isinstance(error, publishers.PublishError):
            cause, error = error.__cause__, _enqueue_error(publication, error)
            error.__cause__ = cause
        elif error is None and tracing.is_loaded():
            tracing.note({"messaging.message.id": publication.message_id})
        self._span.__exit__(type(error) if error else None, error, traceback)
        seconds = time.monotonic() - self._started
        error_type = metrics.type_of(error) if error else ""
        metrics.count_sent(topic=publication.topic, seconds=seconds, error_type=error_type)
        if isinstance(error, EnqueueError):
            raise error
        if error is None and logger.isEnabledFor(logging.DEBUG):
            _tell(publication, seconds)


def _span_of(publication: _Publication[..., Any]) -> AbstractContextManager[dict[str, str]]:
    if not tracing.is_loaded():
        return tracing.NO_CARRIER
    attributes: dict[str, str | int] = {
        "asgi_tasks.task.id": publication.result.id,
        "asgi_tasks.task.name": publication.task_name,
        "messaging.message.body.size": len(publication.data),
    }
    return tracing.sending(publication.topic, attributes)


def _tell(publication: _Publication[..., Any], seconds: float) -> None:
    """The one line of an enqueue."""
    fields = {
        "task_name": publication.task_name,
        "task_id": publication.result.id,
        "message_id": publication.message_id,
        "duration_ms": round(seconds * 1000),
        "outcome": "enqueued",
    }
    line = (
        "Task %(task_name)s enqueued in %(duration_ms)s ms: id=%(task_id)s message=%(message_id)s"
    )
    logger.debug(line, fields, extra=fields)


def _enqueue_error(
    publication: _Publication[..., Any], error: publishers.PublishError
) -> EnqueueError:
    task, topic = publication.result.task, publication.topic
    if error.maybe_published:
        return EnqueueUnconfirmed(
            f"{task.module_path} may have been published to {topic}: {error}. "
            "Enqueue it again only if running it twice is harmless.",
            task_id=publication.result.id,
        )
    return EnqueueRefused(
        f"{task.module_path} was not published to {topic}: {error}. "
        "Nothing will run: mend the cause and enqueue it again."
    )
