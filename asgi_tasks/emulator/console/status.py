"""What happens in the emulator, as JSON."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from aiohttp import web

from asgi_tasks.emulator.api.services import Services
from asgi_tasks.emulator.broker.core import Broker
from asgi_tasks.emulator.broker.faults import Fault
from asgi_tasks.emulator.broker.model import Delivery, Entry, State, Subscription
from asgi_tasks.emulator.broker.names import full_name
from asgi_tasks.emulator.clock import Clock, rfc3339

# What the status shows of one message, so that it stays small whatever was published.
DELIVERIES_SHOWN: Final = 5
ATTRIBUTES_SHOWN: Final = 10
VALUE_SHOWN: Final = 200  # characters
SHOWN_FIRST: Final = {"task_name", "task_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What was asked for at the start."""

    project: str
    time_factor: float
    enforce_iam: bool


class Status:
    def __init__(self, broker: Broker, services: Services, *, clock: Clock, about: About) -> None:
        self._broker = broker
        self._services = services
        self._clock = clock
        self._faults = services.faults
        self._about = about
        self._started_at = clock()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/emulator/health", self.health)
        app.router.add_get("/emulator/status", self.status)
        app.router.add_get("/emulator/messages", self.messages)

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def messages(self, request: web.Request) -> web.Response:
        """Every message the record holds, of one topic or subscription or of all."""
        self._broker.catch_up()
        entries = self._broker.entries(
            topic=self._asked(request, "topic"), subscription=self._asked(request, "subscription")
        )
        if request.query.get("unsettled") == "true":
            entries = [entry for entry in entries if _is_unsettled(entry)]
        return web.json_response(
            {"messages": [_message(entry, entry.deliveries) for entry in entries]}
        )

    def _asked(self, request: web.Request, kind: str) -> str | None:
        name = request.query.get(kind)
        return name and full_name(self._about.project, f"{kind}s", name)

    async def status(self, request: web.Request) -> web.Response:
        """Counts and what happened last, the newest first; of long messages only a part."""
        self._broker.catch_up()
        record = self._broker.record
        return web.json_response(
            {
                "emulator": "asgi_tasks",
                "project": self._about.project,
                "time_factor": self._about.time_factor,
                "enforce_iam": self._about.enforce_iam,
                "seed": self._faults.seed,
                "started_at": rfc3339(self._started_at),
                "now": rfc3339(self._clock()),
                "frozen": self._clock.frozen,
                "topics": self._topics(),
                "subscriptions": [self._subscription(one) for one in self._broker.subscriptions()],
                "deliveries": [_last(*delivery) for delivery in reversed(record.deliveries)],
                "dead_letters": [_dead_letter(entry) for entry in reversed(record.dead_letters)],
                "faults": [fault_as_json(fault) for fault in self._faults.active()],
                "calls": dict(self._services.counts),
            }
        )

    def _topics(self) -> list[dict[str, Any]]:
        names: defaultdict[str, list[str]] = defaultdict(list)
        for subscription in self._broker.subscriptions():
            names[subscription.topic].append(subscription.name)
        return [
            {"name": topic.name, "subscriptions": names[topic.name]}
            for topic in self._broker.topics()
        ]

    def _subscription(self, subscription: Subscription) -> dict[str, Any]:
        queue = self._broker.queue(subscription.name)
        policy, push = subscription.dead_letter, subscription.push
        paused = push is not None and queue.flow.paused_until > self._clock()
        return {
            "name": subscription.name,
            "topic": subscription.topic,
            "push_endpoint": push.endpoint if push else None,
            "dead_letter_topic": policy.topic if policy else None,
            "waiting": queue.waiting,
            "outstanding": queue.outstanding,
            "acknowledged": queue.totals[State.ACKNOWLEDGED],
            "dead_lettered": queue.totals[State.DEAD_LETTERED],
            "expired": queue.totals[State.EXPIRED],
            "oldest_published_at": rfc3339(queue.oldest.message.published_at)
            if queue.oldest
            else None,
            "push_window": queue.flow.window if push else None,
            "paused_until": rfc3339(queue.flow.paused_until) if paused else None,
        }


def fault_as_json(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.kind.value,
        "rate": fault.rate,
        "count": fault.count,
        "resource": fault.resource,
        "status": fault.status,
        "seconds": fault.seconds,
    }


def _is_unsettled(entry: Entry) -> bool:
    """It is not finished, or one of its deliveries is still under way."""
    unfinished = entry.state in {State.WAITING, State.OUTSTANDING}
    return unfinished or any(one.finished_at is None for one in entry.deliveries)


def _message(entry: Entry, deliveries: Iterable[Delivery]) -> dict[str, Any]:
    return {
        "message_id": entry.message.message_id,
        "topic": entry.message.topic,
        "subscription": entry.subscription,
        "attributes": dict(entry.message.attributes),
        "ordering_key": entry.message.ordering_key,
        "published_at": rfc3339(entry.message.published_at),
        "state": entry.state.value,
        "attempts": entry.attempts,
        "deliveries": [_delivery(delivery) for delivery in deliveries],
    }


def _dead_letter(entry: Entry) -> dict[str, Any]:
    ended = (delivery for delivery in reversed(entry.deliveries) if delivery.finished_at)
    last = reversed(list(islice(ended, DELIVERIES_SHOWN)))
    return _message(entry, last) | {"attributes": _some(entry.message.attributes)}


def _some(attributes: Mapping[str, str]) -> dict[str, str]:
    ordered = sorted(attributes.items(), key=lambda item: item[0] not in SHOWN_FIRST)
    return {name: value[:VALUE_SHOWN] for name, value in ordered[:ATTRIBUTES_SHOWN]}


def _delivery(delivery: Delivery) -> dict[str, Any]:
    finished_at = delivery.finished_at
    return {
        "attempt": delivery.attempt,
        "sent_at": rfc3339(delivery.sent_at),
        "finished_at": None if finished_at is None else rfc3339(finished_at),
        "status": delivery.status,
        "error": delivery.error,
        "fault": delivery.fault,
    }


def _last(entry: Entry, delivery: Delivery) -> dict[str, Any]:
    return {
        "message_id": entry.message.message_id,
        "subscription": entry.subscription,
        "attributes": _some(entry.message.attributes),
        "state": entry.state.value,
        **_delivery(delivery),
    }
