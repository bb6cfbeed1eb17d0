"""Waiting for deliveries, and what to say when they do not come."""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from .errors import DeliveryTimeout
from .records import Delivery, Message
from .rest import Rest

type Key = tuple[str, str]  # message id and subscription
type Targets = Mapping[Key, int]  # the attempt to wait for; of a message not in it, the first

POLL_INTERVAL: Final = 0.01  # seconds
SHOWN: Final = 5  # messages in an error


class Wait:
    """One wait of so many seconds. Every method raises DeliveryTimeout when they are over."""

    def __init__(self, rest: Rest, *, caller: str, timeout: float) -> None:
        self._rest = rest
        self._caller = caller
        self._timeout = timeout
        self._looked_at = time.monotonic()
        self._deadline = self._looked_at + timeout
        self._endpoints: dict[str, str | None] = {}

    def unsettled(self) -> list[Message]:
        """The messages of push subscriptions that are not finished, or are still under way."""
        found = self._rest.messages(unsettled="true")
        if any(message.subscription not in self._endpoints for message in found):
            self._endpoints = self._rest.push_endpoints()
        return [message for message in found if self._endpoints.get(message.subscription)]

    def until_delivered(self, targets: Targets) -> None:
        """Until each message was delivered as often as wanted, whatever the push backoff."""
        while missing := pending(self.unsettled(), targets):
            self._pause(missing)
            if any(message.state == "waiting" for message in missing):
                self._rest.post("/emulator/deliver", retries=False)

    def until_settled(self) -> None:
        while missing := self.unsettled():
            self._pause(missing)

    def until_answered(self, key: Key) -> None:
        """Until nothing of this message is under way."""
        while missing := [one for one in self.unsettled() if _key(one) == key and _open(one)]:
            self._pause(missing)

    def _pause(self, missing: list[Message]) -> None:
        now = time.monotonic()
        if now >= self._deadline:
            raise DeliveryTimeout(self._complaint(missing))
        # Looking at many messages keeps the emulator from pushing them: at most half of the time.
        time.sleep(max(POLL_INTERVAL, now - self._looked_at))
        self._looked_at = time.monotonic()

    def _complaint(self, missing: list[Message]) -> str:
        now = datetime.fromisoformat(self._rest.get("/emulator/clock")["now"])
        lines = [_describe(one, self._endpoints, now) for one in missing[:SHOWN]]
        if len(missing) > SHOWN:
            lines.append(f"and {len(missing) - SHOWN} more")
        listed = "".join(f"\n  {line}" for line in lines)
        return f"{self._caller}() gave up after {self._timeout:g} s:{listed}{self._hint()}"

    def _hint(self) -> str:
        import asyncio

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return ""
        return (
            f"\nThis was called on an event loop, which stood still. If the endpoint runs on it: "
            f"await a{self._caller}()"
        )


def under_way(messages: Iterable[Message]) -> dict[Key, int]:
    """The targets to wait for before anything is delivered again."""
    return {_key(message): max(1, message.attempts) for message in messages}


def _unanswered(message: Message, target: int) -> Delivery | None:
    """The delivery up to this attempt that is under way; nobody answers one that was dropped."""
    return next(
        (
            delivery
            for delivery in message.deliveries
            if delivery.finished_at is None
            and delivery.attempt <= target
            and delivery.fault != "push.drop"
        ),
        None,
    )


def pending(messages: Iterable[Message], targets: Targets) -> list[Message]:
    """Those that have not been delivered as often as wanted. Expects the oldest first."""
    found, lines = [], set()
    for message in messages:
        line = (message.subscription, message.ordering_key)
        target = targets.get(_key(message), 1)
        unsent = message.state == "waiting" and message.attempts < target
        # With ordering, what stands behind an older message of its key is not sent before it.
        if _unanswered(message, target) or (unsent and line not in lines):
            found.append(message)
        if message.ordering_key and message.state in {"waiting", "outstanding"}:
            lines.add(line)
    return found


def _describe(message: Message, endpoints: Mapping[str, str | None], now: datetime) -> str:
    whose = f" of task {message.task} ({message.task_id})" if message.task else ""
    name = message.subscription.rpartition("/")[2]
    endpoint = endpoints.get(message.subscription)
    how = _progress(message, now)
    return f"message {message.message_id}{whose} for {name}, pushed to {endpoint}: {how}"


def _progress(message: Message, now: datetime) -> str:
    if (delivery := _unanswered(message, message.attempts)) is not None:
        seconds = (now - delivery.sent_at).total_seconds()
        return f"attempt {delivery.attempt} was sent {seconds:.1f} s ago and is not answered"
    if not message.deliveries:
        return "not sent yet"
    last = message.deliveries[-1]
    return f"{message.state} after attempt {last.attempt}: {last.status or last.error or 'dropped'}"


def _open(message: Message) -> bool:
    return _unanswered(message, message.attempts) is not None


def _key(message: Message) -> Key:
    return message.message_id, message.subscription
