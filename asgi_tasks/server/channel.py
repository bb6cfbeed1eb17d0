"""Connections and requests, with limits to how long and how large they may be."""

import asyncio
import contextlib
import logging
import time
from http import HTTPStatus
from typing import Any, NamedTuple
from weakref import ref

from daphne.http_protocol import WebRequest
from twisted.internet.abstract import FileDescriptor
from twisted.web.http import HTTPChannel

logger = logging.getLogger("asgi_tasks")

HEAD_TIMEOUT = 10  # seconds for a request's line and headers
LINGER = 2  # seconds; a refused client is listened to for so long, or it may not see the answer
UNREAD = 60  # seconds for a client to read the last answer
QUIET = 60  # seconds between two requests
SMALL_BODY = 65_536  # bytes; larger ones share max_bodies_bytes


class Limits(NamedTuple):
    """What one request's body may be."""

    size: int  # bytes
    seconds: float  # until it is there


class Channel(HTTPChannel):
    """One connection: HTTP/1.1, with an end to patience."""

    def __init__(self) -> None:
        super().__init__()
        self._deadline: float | None = None
        self._quiet_since: float | None = time.monotonic()  # between two requests
        self._is_closing = False
        self._limits = Limits(0, 0)
        self._received = 0  # bytes of the body under way
        self._held = 0  # of them, those that count against max_bodies_bytes
        self._host: Any = None

    def connectionMade(self) -> None:
        """Have requests made as ours: Daphne's factory has just set its own."""
        super().connectionMade()
        self.requestFactory = Request
        self.factory.server.channels.add(self)
        if isinstance(self.transport, FileDescriptor):
            Writing(self.transport)

    def getHost(self) -> Any:
        """This end's address: the system is asked once, and not for each request."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    def connectionLost(self, reason: Any) -> None:
        """Forget the connection."""
        self.factory.server.forget(self)
        self._release()
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """Start the clock at a request's first byte."""
        if self._is_closing:
            return
        is_first = self._deadline is None and not self._handlingRequest
        if is_first and data.strip(b"\r\n"):
            self._deadline, self._quiet_since = time.monotonic() + HEAD_TIMEOUT, None
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:
        """Refuse a body that says it is too large before any of it is kept."""
        self._quiet_since = None  # also where this came with the request before
        self._limits = self.factory.server.limits(self._path)
        if self.length is not None and self.length > self._limits.size:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        self._deadline = time.monotonic() + self._limits.seconds
        super().allHeadersReceived()

    def admit(self, size: int) -> bool:
        """Whether so many more bytes of a body are taken; if not, the request is refused."""
        if self._is_closing:
            return False
        self._received += size
        if self._received > self._limits.size:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif self._received > SMALL_BODY:
            self._held += size
            self.factory.server.held += size
            if self.factory.server.held > self.factory.server.max_bodies_bytes:
                self.refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        return not self._is_closing

    def allContentReceived(self) -> None:
        """The request is whole."""
        if not self._is_closing:
            self._deadline = None
            super().allContentReceived()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Whether the connection outlives the answer."""
        if self.factory.server.is_draining:
            self.close_after(request)
            return False
        return bool(super().checkPersistence(request, version))

    def close_after(self, request: Any) -> None:
        """Have the connection closed once the request is answered."""
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        self.persistent = 0

    def requestDone(self, request: Any) -> None:
        """It is answered; the next may come, unless the connection ends here."""
        self._release()
        if self.persistent:
            self._quiet_since = time.monotonic()
        else:
            self._is_closing = True
            self._deadline = time.monotonic() + UNREAD
        super().requestDone(request)

    def abandon(self) -> None:
        """It became a WebSocket, and hears no more of its connection."""
        self.factory.server.forget(self)
        self._release()

    def refuse(self, status: HTTPStatus) -> None:
        """Answer without the application, take nothing more, and close."""
        logger.warning("Request refused with %s before it was read", status.value)
        self._is_closing = True
        self._deadline = time.monotonic() + LINGER
        self._release()
        for request in self.requests:
            if request.content is not None:
                with contextlib.suppress(OSError):  # a full disk
                    request.content.close()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        self.transport.write(head.encode() + b"Connection: close\r\nContent-Length: 0\r\n\r\n")

    def check_deadline(self, now: float) -> None:
        """Give up on a client that takes too long."""
        if self._quiet_since is not None and now >= self._quiet_since + QUIET:
            self._quiet_since, self._is_closing = None, True
            self._deadline = now + UNREAD
            self.loseConnection()
        elif self._deadline is None or now < self._deadline:
            return
        elif self._is_closing:
            self.transport.abortConnection()
        else:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _release(self) -> None:
        self.factory.server.held -= self._held
        self._held = self._received = 0


class Writing:
    """Writes what a turn of the loop has left for a connection at the end of it.

    Twisted first asks the system to say when it may, though nearly all answers fit.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = ref(transport)  # a cycle would keep what was not sent
        self._is_due = False
        transport.startWriting = self.start

    def start(self) -> None:
        """There is something to write, or to end."""
        transport = self._transport()
        if transport is not None and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._write, transport)

    def _write(self, transport: Any) -> None:
        self._is_due = False
        if not transport.connected:
            return
        try:
            if transport.doWrite() or transport.dataBuffer:
                transport.reactor.addWriter(transport)  # for the rest, or to be told why it ended
        except Exception:
            logger.exception("A connection could not be written to")
            transport.abortConnection()


class Request(WebRequest):
    """One request."""

    def __init__(self, *args: Any) -> None:
        # Nobody reads Twisted's own forms; parsing them costs a fifth of all time under load.
        super().__init__(*args, parsePOSTFormSubmission=False)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body."""
        if self.channel.admit(len(data)):
            super().handleContentChunk(data)

    def process(self) -> None:
        """Hand it to the application."""
        # From a client it would rewrite where the request leads to.
        self.requestHeaders.removeHeader(b"daphne-root-path")
        subprotocols = self.requestHeaders.getRawHeaders(b"sec-websocket-protocol", [])
        if not b"".join(subprotocols).isascii():  # Daphne would raise
            self.channel.refuse(HTTPStatus.BAD_REQUEST)
            return
        super().process()
        if self.transport is None:
            self.channel.abandon()

    def handle_exception(self, exception: BaseException) -> None:
        """The application raised: answer 500, or break off the answer that it began."""
        if self._response_started:
            # Daphne's would raise, and end the check that reaps all applications.
            self.channel.transport.abortConnection()
        else:
            super().handle_exception(exception)
