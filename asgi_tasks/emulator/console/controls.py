"""The levers: faults, the clock, delivery by hand, starting afresh."""

from typing import Any, Final

from aiohttp import web

from asgi_tasks.emulator.api.services import Services
from asgi_tasks.emulator.broker.core import Broker
from asgi_tasks.emulator.broker.faults import fault_from
from asgi_tasks.emulator.broker.model import Entry, State
from asgi_tasks.emulator.broker.names import full_name
from asgi_tasks.emulator.clock import Clock, rfc3339
from asgi_tasks.emulator.console.status import fault_as_json
from asgi_tasks.emulator.errors import InvalidArgument, NotFound
from asgi_tasks.emulator.push.pusher import Pusher
from asgi_tasks.emulator.wire.bodies import json_object

YEAR: Final = 366 * 86_400
LATEST: Final = 7_258_118_400  # the year 2200, in seconds since the epoch


class Controls:
    def __init__(
        self,
        broker: Broker,
        services: Services,
        *,
        clock: Clock,
        pusher: Pusher,
        project: str,
    ) -> None:
        self._broker = broker
        self._services = services
        self._clock = clock
        self._faults = services.faults
        self._pusher = pusher
        self._project = project

    def add_routes(self, app: web.Application) -> None:
        router = app.router
        router.add_get("/emulator/faults", self.faults)
        router.add_post("/emulator/faults", self.add_fault)
        router.add_delete("/emulator/faults", self.clear_faults)
        router.add_get("/emulator/clock", self.clock)
        router.add_post("/emulator/clock", self.set_clock)
        router.add_post("/emulator/deliver", self.deliver)
        router.add_post("/emulator/redeliver", self.redeliver)
        router.add_delete("/emulator/messages", self.clear_messages)
        router.add_post("/emulator/reset", self.reset)

    async def faults(self, request: web.Request) -> web.Response:
        active = [fault_as_json(fault) for fault in self._faults.active()]
        return web.json_response({"faults": active})

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = fault_from(await json_object(request), self._project)
        self._services.add_fault(fault)
        return web.json_response(fault_as_json(fault))

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response({})

    async def clock(self, request: web.Request) -> web.Response:
        return web.json_response({"now": rfc3339(self._clock()), "frozen": self._clock.frozen})

    async def set_clock(self, request: web.Request) -> web.Response:
        """{"advance": seconds} and {"frozen": true or false}, either or both."""
        body = await _body(request, "advance", "frozen")
        advance, frozen = body.get("advance", 0), body.get("frozen", self._clock.frozen)
        if isinstance(advance, bool) or not isinstance(advance, int | float):
            raise InvalidArgument(f"advance: {advance!r} is not a number of seconds.")
        if not 0 <= advance <= YEAR:
            raise InvalidArgument(f"advance: {advance!r} is not 0 to {YEAR} seconds.")
        if self._clock() + advance > LATEST:
            raise InvalidArgument("advance: leads past the year 2200; restart the emulator.")
        if not isinstance(frozen, bool):
            raise InvalidArgument(f"frozen: {frozen!r} is neither true nor false.")
        if frozen != self._clock.frozen:
            (self._clock.freeze if frozen else self._clock.resume)()
        self._clock.advance(advance)
        self._broker.time_jumped()
        return await self.clock(request)

    async def deliver(self, request: web.Request) -> web.Response:
        """
        Make everything that waits due, what was dropped too; says which delivery of each message
        is to come of it. {"retries": false} ends push backoff alone.
        """
        body = await _body(request, "subscription", "retries")
        name, retries = self._name(body), body.get("retries", True)
        if not isinstance(retries, bool):
            raise InvalidArgument(f"retries: {retries!r} is neither true nor false.")
        if retries:
            self._end_dropped(name)
        self._broker.make_due(name, retries=retries)
        expected = [_expected(entry) for entry in self._unfinished_pushes(name)]
        return web.json_response({"deliveries": expected})

    def _end_dropped(self, name: str | None) -> None:
        for entry in self._unfinished_pushes(name):
            self._broker.extend(entry.subscription, entry.ack_id, 0.0)
        self._broker.catch_up()

    def _unfinished_pushes(self, name: str | None) -> list[Entry]:
        return [
            entry
            for entry in self._broker.unfinished(name)
            if self._broker.subscription(entry.subscription).push is not None
        ]

    async def redeliver(self, request: web.Request) -> web.Response:
        """Push once more what was pushed last."""
        pushed = self._broker.record.last_pushed
        name = self._name(await _body(request, "subscription")) or next(reversed(pushed), None)
        if name is None or name not in pushed:
            raise NotFound(name or "no message was pushed yet")
        lease, subscription = pushed[name], self._broker.subscription(name)
        self._pusher.push_copy(subscription, lease, fault="redelivered")
        return web.json_response(_expected(lease.entry))

    async def clear_messages(self, request: web.Request) -> web.Response:
        return web.json_response({"cleared": self._broker.record.clear_finished()})

    async def reset(self, request: web.Request) -> web.Response:
        """As after the start, but for the clock, the keys and message ids."""
        self._pusher.forget()
        self._services.reset()
        self._broker.reset()
        return web.json_response({})

    def _name(self, body: dict[str, Any]) -> str | None:
        name = body.get("subscription")
        if name is None:
            return None
        if not isinstance(name, str):
            raise InvalidArgument(f"subscription: {name!r} is not a name.")
        return full_name(self._project, "subscriptions", name)


async def _body(request: web.Request, *known: str) -> dict[str, Any]:
    body = await json_object(request)
    unknown = sorted(body.keys() - set(known))
    if unknown:
        raise InvalidArgument(f"{unknown[0]}: not one of {', '.join(known)}.")
    return body


def _expected(entry: Entry) -> dict[str, Any]:
    """The delivery to wait for: the one under way, or else the next."""
    waits = entry.state is State.WAITING
    return {
        "message_id": entry.message.message_id,
        "subscription": entry.subscription,
        "attempt": entry.attempts + waits,
    }
