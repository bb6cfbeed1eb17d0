"""The calls over REST: JSON to the same requests as gRPC's, and the responses back to JSON."""

import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from google.protobuf import json_format  # type: ignore[import-untyped]

from asgi_tasks.emulator.api import PubSubApi
from asgi_tasks.emulator.calls import CALLS, Call
from asgi_tasks.emulator.errors import (
    EmulatorError,
    InvalidArgument,
    PermissionDenied,
    Unimplemented,
)
from asgi_tasks.emulator.resources import Protobuf

logger = logging.getLogger("asgi_tasks.emulator")

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATUS_NAMES = {404: "NOT_FOUND", 405: "UNIMPLEMENTED", 413: "INVALID_ARGUMENT"}


def add_routes(app: web.Application, api: PubSubApi) -> None:
    for call in CALLS:
        app.router.add_route(call.verb, call.path, _handler(call, api))
    app.router.add_route("*", "/v1/{tail:.*}", _unimplemented)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals in the form Google's APIs give them."""
    try:
        if "Origin" in request.headers:
            raise PermissionDenied("The emulator does not serve pages of other origins.")
        return await handler(request)
    except EmulatorError as error:
        return _error(error.http_status, error.status, error.message)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        status = _STATUS_NAMES.get(error.status, "INVALID_ARGUMENT")
        return _error(error.status, status, error.reason)
    except Exception:
        logger.exception("%s failed", request.method)
        return _error(500, "INTERNAL", "The emulator failed; its log says how.")


def _error(code: int, status: str, message: str) -> web.Response:
    body = {"error": {"code": code, "message": message, "status": status}}
    return web.json_response(body, status=code)


def _handler(call: Call, api: PubSubApi) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        message = await _read(call, request)
        return web.json_response(json_format.MessageToDict(await call.handler(api, message)))

    return handle


async def _unimplemented(request: web.Request) -> web.StreamResponse:
    raise Unimplemented(f"{request.method} {request.path}: the emulator does not support it.")


async def _read(call: Call, request: web.Request) -> Protobuf:
    message = call.request.pb()()
    document = _query(request, message) if call.verb == "GET" else await _body(request)
    try:
        json_format.ParseDict(_with_camel_case_masks(document), message)
    except json_format.ParseError as error:
        raise InvalidArgument(f"Invalid JSON payload received. {error}") from error
    _fill(message, call.path_field, request.match_info["resource"])
    return message


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.read() or b"{}")
    except (ValueError, RecursionError, HttpProcessingError, web.RequestPayloadError) as error:
        raise InvalidArgument(f"Invalid JSON payload received. {error}") from error
    if not isinstance(document, dict):
        raise InvalidArgument("Invalid JSON payload received. It is not an object.")
    return document


def _query(request: web.Request, message: Protobuf) -> dict[str, Any]:
    """The parameters that are fields; alt, key, prettyPrint and the like are Google's own."""
    fields = message.DESCRIPTOR.fields
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
