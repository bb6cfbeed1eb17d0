"""The site, and in front of it WebSockets that echo."""

import asyncio

from django.core.asgi import get_asgi_application

from asgi_tasks.asgi import PushEndpoint

django_application = get_asgi_application()

from tests.reliability.served.tasks import is_open  # noqa: E402
from tests.site.effects import record  # noqa: E402


async def route(scope, receive, send):
    if scope["type"] == "websocket":
        await echo(scope["path"], receive, send)
    else:
        await django_application(scope, receive, send)


async def echo(path, receive, send):
    record("connect")
    try:
        while path == "/wait" and not is_open("gate"):  # noqa: ASYNC110 - another process opens it
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        await asyncio.sleep(0.3)
        record("connect", state="cancelled")
        raise
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "websocket.send", "text": message["text"]})


application = PushEndpoint(route)
