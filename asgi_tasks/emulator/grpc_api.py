"""The calls over gRPC. Whatever is not in the table grpc itself answers with UNIMPLEMENTED."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from asgi_tasks.emulator.api import PubSubApi
from asgi_tasks.emulator.calls import CALLS, PUBLISHER, SUBSCRIBER, Call
from asgi_tasks.emulator.errors import EmulatorError
from asgi_tasks.emulator.resources import Protobuf

# A request may have 10 MB; over that it is to be told so, not cut off.
OPTIONS = (
    ("grpc.max_receive_message_length", 40_000_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)


async def start(api: PubSubApi) -> tuple[grpc.aio.Server, int]:
    """A running server and its port, which is the loopback's and for the splice alone."""
    server = grpc.aio.server(options=OPTIONS)
    for service in (PUBLISHER, SUBSCRIBER):
        server.add_generic_rpc_handlers((_service(service, api),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


def _service(service: str, api: PubSubApi) -> grpc.GenericRpcHandler:
    handlers = {
        call.name: grpc.unary_unary_rpc_method_handler(
            _method(call, api),
            request_deserializer=call.request.pb().FromString,
            response_serializer=_serialize,
        )
        for call in CALLS
        if call.service == service
    }
    return grpc.method_handlers_generic_handler(service, handlers)


def _method(call: Call, api: PubSubApi) -> Callable[[Protobuf, Any], Awaitable[Protobuf]]:
    async def method(request: Protobuf, context: Any) -> Protobuf:
        try:
            return await call.handler(api, request)
        except EmulatorError as error:
            return await context.abort(grpc.StatusCode[error.status], error.message)

    return method


def _serialize(response: Protobuf) -> bytes:
    return bytes(response.SerializeToString())
