"""The emulator's own pages: what became of every message, and the certificates of its tokens."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from asgi_tasks.emulator.broker import Broker
from asgi_tasks.emulator.clock import rfc3339
from asgi_tasks.emulator.model import Delivery, Entry
from asgi_tasks.emulator.tokens import SigningKey

CERTIFICATE_HEADERS = {"Cache-Control": "public, max-age=3600, must-revalidate"}


def add_routes(app: web.Application, broker: Broker, key: SigningKey) -> None:
    inspection = Inspection(broker)
    app.router.add_get("/", inspection.counts)
    app.router.add_get("/emulator/health", inspection.health)
    app.router.add_get("/emulator/messages", inspection.messages)
    app.router.add_delete("/emulator/messages", inspection.clear)
    app.router.add_get("/oauth2/v1/certs", _certificates(key.certificates()))
    app.router.add_get("/oauth2/v3/certs", _certificates(key.key_set()))


class Inspection:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def counts(self, request: web.Request) -> web.Response:
        return web.json_response({"emulator": "asgi_tasks", **self._broker.counts()})

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def messages(self, request: web.Request) -> web.Response:
        entries = self._broker.record(
            topic=request.query.get("topic"), subscription=request.query.get("subscription")
        )
        return web.json_response({"messages": [_entry(entry) for entry in entries]})

    async def clear(self, request: web.Request) -> web.Response:
        return web.json_response({"cleared": self._broker.clear_finished()})


def _certificates(body: Any) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def certificates(request: web.Request) -> web.Response:
        return web.json_response(body, headers=CERTIFICATE_HEADERS)

    return certificates


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "message_id": entry.message.message_id,
        "topic": entry.message.topic,
        "subscription": entry.subscription,
        "attributes": dict(entry.message.attributes),
        "published_at": rfc3339(entry.message.published_at),
        "state": entry.state.value,
        "deliveries": [_delivery(delivery) for delivery in entry.deliveries],
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    finished_at = delivery.finished_at
    described = {
        "attempt": delivery.attempt,
        "sent_at": rfc3339(delivery.sent_at),
        "finished_at": None if finished_at is None else rfc3339(finished_at),
        "status": delivery.status,
    }
    return described if delivery.error is None else {**described, "error": delivery.error}
