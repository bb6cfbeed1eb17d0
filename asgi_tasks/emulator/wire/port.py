"""
One port for gRPC and REST. The first bytes of a connection tell them apart: HTTP/2's preface goes,
byte for byte, to the gRPC server's own port; all else is HTTP/1.1 and gets aiohttp's protocol.
"""

import asyncio
from collections.abc import Callable
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# A connection that has not sent a request's head in this time, or sends more than that, is closed.
PATIENCE: Final = 30.0
MAX_HEAD_BYTES: Final = 65_536


class Port:
    """Makes the protocol of every new connection; ``close`` drops those that are not aiohttp's."""

    def __init__(self, *, rest: Callable[[], asyncio.BaseProtocol], grpc_port: int) -> None:
        self.rest = rest
        self.transports: set[asyncio.BaseTransport] = set()
        self._grpc_port = grpc_port
        self._splices: set[asyncio.Task[None]] = set()

    def __call__(self) -> "Doorman":
        return Doorman(self)

    def splice(self, client: asyncio.Transport, first: bytes) -> None:
        splice = asyncio.create_task(self._splice(client, first))
        self._splices.add(splice)
        splice.add_done_callback(self._splices.discard)

    async def close(self) -> None:
        for splice in list(self._splices):
            splice.cancel()
        await asyncio.gather(*self._splices, return_exceptions=True)
        for transport in list(self.transports):
            if isinstance(transport, asyncio.Transport):
                transport.abort()

    async def _splice(self, client: asyncio.Transport, first: bytes) -> None:
        outward = Pipe(client, self.transports)
        try:
            inner, _ = await asyncio.get_running_loop().create_connection(
                lambda: outward, "127.0.0.1", self._grpc_port
            )
        except OSError:
            client.abort()
            return
        if client.is_closing():
            inner.abort()
            return
        inward = Pipe(inner, self.transports)
        client.set_protocol(inward)
        inward.connection_made(client)
        inner.write(first)
        client.resume_reading()


class Doorman(asyncio.Protocol):
    """Reads until it knows who is to have the connection."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._first = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._port.transports.add(transport)
        loop = asyncio.get_running_loop()
        self._timeout = loop.call_later(PATIENCE, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timeout.cancel()
        self._port.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._first += data
        if self._first.startswith(PREFACE):
            self._timeout.cancel()
            self._transport.pause_reading()
            self._port.splice(self._transport, self._first)
        elif PREFACE.startswith(self._first):
            return
        elif b"\r\n\r\n" in self._first or len(self._first) > MAX_HEAD_BYTES:
            self._timeout.cancel()
            self._to_rest()

    def _to_rest(self) -> None:
        self._port.transports.discard(self._transport)
        protocol = self._port.rest()
        assert isinstance(protocol, asyncio.Protocol)  # noqa: S101 - for the type checker
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._first)


class Pipe(asyncio.Protocol):
    """Writes what it receives to the other side, at the pace the other side takes it."""

    def __init__(self, other: asyncio.Transport, transports: set[asyncio.BaseTransport]) -> None:
        self._other = other
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transports.add(transport)

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def pause_writing(self) -> None:
        self._other.pause_reading()

    def resume_writing(self) -> None:
        self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transports.discard(self._transport)
        self._other.close()
