"""PushEndpoint: the push endpoint as an ASGI application in front of Django's."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from typing import Any

from django.core.handlers.asgi import ASGIHandler

from . import dispatch, eager
from .backends import get_backend
from .exceptions import BodyTooLarge
from .routes import get_route_table

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]

SHUTTING_DOWN = dispatch.Answer(503, {})


class PushEndpoint:
    """Answers pushes; passes everything else on.

    ``application = PushEndpoint(get_asgi_application())`` in the project's asgi.py. Without a
    PubSubBackend in TASKS, as in development, it passes everything on. Raise InvalidConfiguration
    if the options or the routes are wrong: such a server had better not start.
    """

    def __init__(self, application: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self.application: Application = application  # of whatever types its own author chose
        if backend := get_backend():
            get_route_table(backend.alias)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and isinstance(self.application, ASGIHandler):
            await send({"type": "websocket.close"})  # Django's would raise, for any stranger
            return
        backend = get_backend() if scope["type"] == "http" else None
        if backend is None or scope["path"] != backend.config.push_path:
            await self.application(scope, receive, send)
            return
        connection = _Connection(scope, receive)
        try:
            answer = await connection.until_gone(
                dispatch.receive(backend, scope["method"], connection.headers, connection.read)
            )
        except asyncio.CancelledError:
            # The server shuts down; it hands on what is sent before this returns.
            await _respond(send, SHUTTING_DOWN)
            raise
        if answer is not None:
            await _respond(send, answer)


class _Connection:
    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.headers = _join_headers(scope["headers"])
        self._receive = receive
        self._is_read = False
        self._whole: asyncio.Event | None = None  # set when it is read, if somebody waits for that
        self._is_gone = False

    async def read(self, limit: int) -> bytes:
        """The body. Raise BodyTooLarge, or CancelledError if the client leaves before its end."""
        parts, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._is_gone = True
                raise asyncio.CancelledError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise BodyTooLarge(f"a body of more than {limit:,} bytes")
            if not message.get("more_body", False):
                self._is_read = True
                if self._whole:
                    self._whole.set()
                return b"".join(parts)

    async def until_gone[T](self, answering: Coroutine[Any, Any, T]) -> T | None:
        """What is awaited, or None once nobody is there to take it."""
        task = eager.start(answering)
        if task.done() and not task.cancelled():
            return task.result()
        watch = asyncio.get_running_loop().create_task(self._cancel_when_gone(task))
        try:
            return await task
        except asyncio.CancelledError:
            if not self._is_gone:
                raise
            return None
        finally:
            watch.cancel()

    async def _cancel_when_gone(self, task: asyncio.Task[Any]) -> None:
        if not self._is_read:
            self._whole = asyncio.Event()
            await self._whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        task.cancel()


def _join_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers as a mapping; a comma joins repeated ones, which no valid token contains."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


async def _respond(send: Send, answer: dispatch.Answer) -> None:
    headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
