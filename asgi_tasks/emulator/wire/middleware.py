"""What every REST request passes: who may ask, and how a refusal is put."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from asgi_tasks.emulator.errors import ConnectionLost, EmulatorError, PermissionDenied

logger = logging.getLogger("asgi_tasks.emulator")

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATUS_NAMES: Final = {404: "NOT_FOUND", 405: "UNIMPLEMENTED", 413: "INVALID_ARGUMENT"}


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals in the form Google's APIs give them."""
    try:
        if "Origin" in request.headers:
            raise PermissionDenied("The emulator does not serve pages of other origins.")
        return await handler(request)
    except ConnectionLost:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
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
