"""Bodies of REST requests."""

import asyncio
import json
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from asgi_tasks.emulator.errors import InvalidArgument

PATIENCE: Final = 60.0  # seconds for a request's body to arrive


async def json_object(request: web.Request) -> dict[str, Any]:
    """The object a request brings; without a body an empty one."""
    try:
        async with asyncio.timeout(PATIENCE):
            body = await request.read() or b"{}"
        document = json.loads(body)
        if b"\\ud" in body or b"\\uD" in body:
            json.dumps(document, ensure_ascii=False).encode()  # no lone surrogates
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (ValueError, RecursionError, HttpProcessingError, web.RequestPayloadError) as error:
        raise InvalidArgument(f"Invalid JSON payload received. {error}") from error
    if not isinstance(document, dict):
        raise InvalidArgument("Invalid JSON payload received. It is not an object.")
    return document
