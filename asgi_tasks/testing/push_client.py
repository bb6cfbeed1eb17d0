"""PushClient: pushes to one's own ASGI application, right or wrong on purpose."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.tasks import Task
from django.utils.asyncio import async_unsafe
from django.utils.module_loading import import_string

from ..asgi import Application
from ..backends import require_backend
from ..messages import TaskMessage, make_attributes
from .calls import check_is_task
from .identity import make_token
from .pushing import Push, PushAnswer, Pusher


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    """What is otherwise than Pub/Sub would have it."""

    application: Application | None = None
    attempt: int = 1
    token: str | None = None
    subscription: str | None = None
    data: bytes | None = None
    attributes: Mapping[str, str | None] | None = None


class PushClient:
    """Pushes a task as Pub/Sub does, to settings.ASGI_APPLICATION, in this process."""

    def __init__(self, pusher: Pusher, changes: _Changes = _Changes()) -> None:
        self._pusher = pusher
        self._changes = changes

    def using(  # noqa: PLR0913 - keywords
        self,
        *,
        application: Application | None = None,
        attempt: int = 1,
        token: str | None = None,
        subscription: str | None = None,
        data: bytes | None = None,
        attributes: Mapping[str, str | None] | None = None,
    ) -> "PushClient":
        """A client that pushes in another way.

        ``application`` is an ASGI application, ``attempt`` the number of the delivery. To see a
        push refused: a ``token`` instead of a right one (see token(); "" for none), the full name
        of another ``subscription``, ``data`` that was not signed, or other ``attributes``, None to
        leave one out.
        """
        changes = _Changes(
            application=application,
            attempt=attempt,
            token=token,
            subscription=subscription,
            data=data,
            attributes=attributes,
        )
        return PushClient(self._pusher, changes)

    def token(self, **claims: Any) -> str:
        """A token like Pub/Sub's but for these claims; None leaves one out."""
        return make_token(require_backend().config, claims)

    @async_unsafe("push() would block the event loop: use await apush().")
    def push[**P, R](self, task: "Task[P, R]", *args: P.args, **kwargs: P.kwargs) -> PushAnswer:
        """Push a call of the task. Whether it was refused or has failed, the answer tells."""
        return async_to_sync(self.apush)(task, *args, **kwargs)

    async def apush[**P, R](
        self, task: "Task[P, R]", *args: P.args, **kwargs: P.kwargs
    ) -> PushAnswer:
        """See push()."""
        push = self._make_push(task, list(args), dict(kwargs))
        application = self._changes.application or get_application()
        return await self._pusher.send(push, application, require_backend().config)

    def _make_push(self, task: "Task[..., Any]", args: list[Any], kwargs: dict[str, Any]) -> Push:
        check_is_task(task)
        backend, changes = require_backend(), self._changes
        name = backend.routes.route_for(task).name
        message = TaskMessage(
            task_id=str(uuid.uuid4()),
            task_name=name,
            args=args,
            kwargs=kwargs,
            enqueued_at=datetime.now(UTC),
        )
        data = message.encode()
        attributes = make_attributes(message, data, backend.config.signing_keys[0])
        merged = {**attributes, **(changes.attributes or {})}
        return Push(
            task=task,
            task_id=message.task_id,
            attempt=changes.attempt,
            token=changes.token,
            subscription=changes.subscription or backend.routes.subscription(name),
            data=data if changes.data is None else changes.data,
            attributes={name: value for name, value in merged.items() if value is not None},
        )


def get_application() -> Application:
    """The site's. Raise ImproperlyConfigured if the settings do not name it."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        raise ImproperlyConfigured(
            "push_client does not know your ASGI application. Set ASGI_APPLICATION to its dotted "
            "path, or give it: push_client.using(application=application).push(...)."
        )
    application: Application = import_string(path)
    return application
