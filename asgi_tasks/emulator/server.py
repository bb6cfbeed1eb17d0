"""Puts the parts together: broker, pusher, gRPC and REST behind one port."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from asgi_tasks.emulator import grpc_api, inspection, rest_api
from asgi_tasks.emulator.api import PubSubApi
from asgi_tasks.emulator.bell import Bell
from asgi_tasks.emulator.broker import Broker
from asgi_tasks.emulator.clock import steady_clock
from asgi_tasks.emulator.port import Port
from asgi_tasks.emulator.push import Pusher
from asgi_tasks.emulator.tokens import SigningKey, TokenMint

# It would log each malformed request with a traceback; rest_api answers for our own mistakes.
logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)

# Base64 makes a third more of a request's 10 MB.
MAX_BODY_BYTES = 40_000_000


@asynccontextmanager
async def emulator(*, host: str, port: int, time_factor: float = 1.0) -> AsyncIterator[int]:
    """A running emulator; gives the port it listens on. OSError if the port cannot be had."""
    bell, clock, key = Bell(), steady_clock(), SigningKey()
    broker = Broker(clock=clock, time_factor=time_factor, on_change=bell.ring)
    pusher = Pusher(broker, bell=bell, mint=TokenMint(key), clock=clock)
    async with (
        _serving(broker, PubSubApi(broker, bell), key, host=host, port=port) as bound,
        _in_background(pusher),
    ):
        yield bound


@asynccontextmanager
async def _serving(
    broker: Broker, api: PubSubApi, key: SigningKey, *, host: str, port: int
) -> AsyncIterator[int]:
    async with _rest_server(broker, api, key) as rest, _grpc_server(api) as grpc_port:
        front = Port(rest=rest, grpc_port=grpc_port)
        server = await asyncio.get_running_loop().create_server(front, host, port, backlog=2048)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await front.close()


@asynccontextmanager
async def _rest_server(
    broker: Broker, api: PubSubApi, key: SigningKey
) -> AsyncIterator[web.Server]:
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[rest_api.errors_as_json])
    rest_api.add_routes(app, api)
    inspection.add_routes(app, broker, key)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - for the type checker
    try:
        yield runner.server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _grpc_server(api: PubSubApi) -> AsyncIterator[int]:
    server, port = await grpc_api.start(api)
    try:
        yield port
    finally:
        await server.stop(None)


@asynccontextmanager
async def _in_background(pusher: Pusher) -> AsyncIterator[None]:
    running = asyncio.create_task(pusher.run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
