"""The calls over gRPC. Whatever is not in the table grpc itself answers with UNIMPLEMENTED."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from asgi_tasks.emulator.api.calls import CALLS, Call
from asgi_tasks.emulator.api.services import Services
from asgi_tasks.emulator.errors import EmulatorError, InvalidArgument

logger = logging.getLogger("asgi_tasks.emulator")

# A request may have 10 MB; over that it is to be told so, not cut off.
OPTIONS = (
    ("grpc.max_receive_message_length", 40_000_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    # A client that is gone without a word is noticed.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


async def start(services: Services) -> tuple[grpc.aio.Server, int]:
    """A running server and its port, which is the loopback's and for the splice alone."""
    server = grpc.aio.server(options=OPTIONS)
    for name in sorted({call.service for call in CALLS}):
        server.add_generic_rpc_handlers((_service(name, services),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


def _service(service: str, services: Services) -> grpc.GenericRpcHandler:
    handlers = {
        call.name: grpc.unary_unary_rpc_method_handler(_method(call, services))
        for call in CALLS
        if call.service == service
    }
    return grpc.method_handlers_generic_handler(service, handlers)


def _method(call: Call, services: Services) -> Callable[[bytes, Any], Awaitable[bytes]]:
    async def method(body: bytes, context: Any) -> bytes:
        try:
            response = await services.call(call, _parsed(call, body))
            return bytes(response.SerializeToString())
        except EmulatorError as error:
            status, message = error.status, error.message
        except Exception:
            logger.exception("%s failed", call.name)
            status, message = "INTERNAL", "The emulator failed; its log says how."
        raise await context.abort(grpc.StatusCode[status], message)

    return method


def _parsed(call: Call, body: bytes) -> Any:
    try:
        return call.request.FromString(body)
    except DecodeError:
        raise InvalidArgument(f"The request is not a {call.request.DESCRIPTOR.name}.") from None
