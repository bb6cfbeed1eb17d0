"""Puts the parts together: broker, pusher, gRPC and REST behind one port."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from random import SystemRandom
from typing import Any

from aiohttp import web

from asgi_tasks.emulator.api.services import Services
from asgi_tasks.emulator.bell import Bell
from asgi_tasks.emulator.broker.core import Broker
from asgi_tasks.emulator.broker.faults import Fault, Faults
from asgi_tasks.emulator.broker.model import Timing
from asgi_tasks.emulator.clock import Clock
from asgi_tasks.emulator.console.certificates import Certificates
from asgi_tasks.emulator.console.controls import Controls
from asgi_tasks.emulator.console.page import Page
from asgi_tasks.emulator.console.status import About, Status
from asgi_tasks.emulator.push.keyring import Keyring
from asgi_tasks.emulator.push.pusher import Pusher
from asgi_tasks.emulator.push.sender import Sender
from asgi_tasks.emulator.push.tokens import TokenMint
from asgi_tasks.emulator.wire import grpc_api, rest_api
from asgi_tasks.emulator.wire.middleware import guarded
from asgi_tasks.emulator.wire.port import Port

# aiohttp logs each malformed request with a traceback; middleware.py answers for our own mistakes.
malformed = logging.getLogger("asgi_tasks.emulator.malformed")
malformed.setLevel(logging.CRITICAL)

# Base64 makes a third more of a request's 10 MB.
MAX_BODY_BYTES = 40_000_000
# Until a kept-alive connection without a whole request's head is closed.
IDLE_SECONDS = 75.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """See docs/reference/emulator.md; cli.py has the same as arguments."""

    host: str = "127.0.0.1"
    port: int = 8085  # 0: a free one
    project: str = "emulator-project"
    timing: Timing = field(default_factory=Timing)
    enforce_iam: bool = False
    rotate_keys: float | None = None  # seconds; None: one key for as long as it runs
    faults: Sequence[Fault] = ()
    seed: int | None = None  # of the faults; None: another each time


class CannotListen(Exception):
    """The host and port cannot be had."""


@asynccontextmanager
async def emulator(options: Options) -> AsyncIterator[int]:
    """A running emulator; gives the port it listens on. Raises CannotListen."""
    parts = _Parts(options)
    async with (
        aclosing(parts.sender),
        _serving(parts, options) as port,
        _in_background(parts.pusher.run()),
        _in_background(parts.keyring.rotate()),
    ):
        yield port


class _Parts:
    def __init__(self, options: Options) -> None:
        self.bell, self.clock = Bell(), Clock()
        self.keyring = Keyring(rotated_every=options.rotate_keys)
        self.faults = Faults(_seed(options))
        self.broker = Broker(
            clock=self.clock,
            timing=options.timing,
            enforce_iam=options.enforce_iam,
            on_change=self.bell.ring,
        )
        self.services = Services(self.broker, bell=self.bell, clock=self.clock, faults=self.faults)
        for fault in options.faults:
            self.services.add_fault(fault)
        self.sender = Sender(TokenMint(self.keyring))
        self.pusher = Pusher(
            self.broker,
            bell=self.bell,
            clock=self.clock,
            faults=self.faults,
            sender=self.sender,
        )
        self.about = About(
            project=options.project,
            time_factor=options.timing.factor,
            enforce_iam=options.enforce_iam,
        )

    def add_pages(self, app: web.Application) -> None:
        broker, clock = self.broker, self.clock
        Page().add_routes(app)
        Status(broker, self.services, clock=clock, about=self.about).add_routes(app)
        Controls(
            broker,
            self.services,
            clock=clock,
            pusher=self.pusher,
            project=self.about.project,
        ).add_routes(app)
        Certificates(self.keyring).add_routes(app)


def _seed(options: Options) -> int:
    return SystemRandom().getrandbits(32) if options.seed is None else options.seed


@asynccontextmanager
async def _serving(parts: _Parts, options: Options) -> AsyncIterator[int]:
    async with _rest_server(parts) as rest, _grpc_server(parts.services) as grpc_port:
        front = Port(rest=rest, grpc_port=grpc_port)
        server = await _listening(front, options)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await front.close()


async def _listening(front: Port, options: Options) -> asyncio.Server:
    listen = partial(asyncio.get_running_loop().create_server, front, options.host, backlog=2048)
    try:
        server = await listen(options.port)
        ports = {sock.getsockname()[1] for sock in server.sockets}
        if len(ports) > 1:  # port 0, and the host has several addresses: one port for all
            server.close()
            server = await listen(ports.pop())
        return server
    except OSError as error:
        raise CannotListen(f"{options.host}:{options.port}: {error.strerror}") from error


@asynccontextmanager
async def _rest_server(parts: _Parts) -> AsyncIterator[web.Server]:
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[guarded])
    rest_api.add_routes(app, parts.services)
    parts.add_pages(app)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=malformed,
        handler_cancellation=True,  # who has hung up gets no answer
        keepalive_timeout=IDLE_SECONDS,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - for the type checker
    try:
        yield runner.server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _grpc_server(services: Services) -> AsyncIterator[int]:
    server, port = await grpc_api.start(services)
    try:
        yield port
    finally:
        await server.stop(None)


@asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
