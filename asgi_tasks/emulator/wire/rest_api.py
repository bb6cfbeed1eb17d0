"""The calls over REST: JSON to the same requests as gRPC's, and the responses back to JSON."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from google.protobuf import json_format  # type: ignore[import-untyped]

from asgi_tasks.emulator.api.calls import CALLS, Call
from asgi_tasks.emulator.api.checks import Protobuf
from asgi_tasks.emulator.api.services import Services
from asgi_tasks.emulator.errors import InvalidArgument, Unimplemented
from asgi_tasks.emulator.wire.bodies import json_object
from asgi_tasks.emulator.wire.publish_json import publish_request

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_routes(app: web.Application, services: Services) -> None:
    for call in CALLS:
        app.router.add_route(call.verb, call.path, _handler(call, services))
    app.router.add_route("*", "/v1/{tail:.*}", _unimplemented)


def _handler(call: Call, services: Services) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        message = await _read(call, request)
        return web.json_response(json_format.MessageToDict(await services.call(call, message)))

    return handle


async def _unimplemented(request: web.Request) -> web.StreamResponse:
    raise Unimplemented(f"{request.method} {request.path}: the emulator does not support it.")


async def _read(call: Call, request: web.Request) -> Protobuf:
    document = _query(request, call) if call.verb == "GET" else await json_object(request)
    message = _parsed(call, document)
    _fill(message, call.path_field, request.match_info["resource"])
    return message


def _parsed(call: Call, document: dict[str, Any]) -> Protobuf:
    if call.name == "Publish":
        return publish_request(document)
    try:
        return json_format.ParseDict(_with_camel_case_masks(document), call.request())
    except json_format.ParseError as error:
        raise InvalidArgument(f"Invalid JSON payload received. {error}") from error


def _query(request: web.Request, call: Call) -> dict[str, Any]:
    """The parameters that are fields; alt, key, prettyPrint and the like are Google's own."""
    fields = call.request.DESCRIPTOR.fields
    known = {field.name for field in fields} | {field.json_name for field in fields}
    return {name: value for name, value in request.query.items() if name in known}


def _with_camel_case_masks(document: dict[str, Any]) -> dict[str, Any]:
    """json_format knows both spellings of a field's name, but not within a mask."""
    masks = {
        name: re.sub(r"_([a-z])", lambda match: match[1].upper(), document[name])
        for name in ("updateMask", "update_mask")
        if isinstance(document.get(name), str)
    }
    return {**document, **masks}


def _fill(message: Protobuf, path: str, value: str) -> None:
    *parents, field = path.split(".")
    for parent in parents:
        message = getattr(message, parent)
    setattr(message, field, value)
