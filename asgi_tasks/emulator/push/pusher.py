"""Push delivery: takes what is due from the broker, sends it, and settles it by the answer."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from asgi_tasks.emulator.bell import Bell
from asgi_tasks.emulator.broker.core import Broker
from asgi_tasks.emulator.broker.faults import Fault, Faults, Kind
from asgi_tasks.emulator.broker.model import Lease, Subscription
from asgi_tasks.emulator.clock import Clock
from asgi_tasks.emulator.push.sender import Answer, Sender

logger = logging.getLogger("asgi_tasks.emulator")

# As Google's. The 102 is never a final answer in HTTP, so no client reports it as one.
ACKNOWLEDGING: Final = frozenset({102, 200, 201, 202, 204})
# Long enough for the endpoint to have read the request, short enough to close on most tasks.
UNTIL_CLOSED: Final = 0.05


class _Held:
    """A push that waits until a later message has overtaken it."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self.overtaken = asyncio.Event()


class Pusher:
    """Pushes until it is cancelled, and leaves no request behind."""

    def __init__(
        self, broker: Broker, *, bell: Bell, clock: Clock, faults: Faults, sender: Sender
    ) -> None:
        self._broker = broker
        self._bell = bell
        self._clock = clock
        self._faults = faults
        self._sender = sender
        self._pushes: set[asyncio.Task[None]] = set()
        self._held: dict[str, _Held] = {}  # by subscription

    async def run(self) -> None:
        try:
            while True:
                for subscription, lease in self._broker.due_pushes():
                    self._start(self._push(subscription, lease))
                await self._bell.wait(self._pause())
        finally:
            await self._cancel_pushes()

    def forget(self) -> None:
        """Give up what is under way."""
        for push in self._pushes:
            push.cancel()

    def push_copy(self, subscription: Subscription, lease: Lease, *, fault: str) -> None:
        """Send a message once more beside its deliveries; the answer changes nothing."""
        self._start(self._push_copy(subscription, lease, fault))

    def _start(self, push: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(push)
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)

    def _pause(self) -> float | None:
        """How long nothing falls due."""
        wake_at = self._broker.next_wake()
        return None if wake_at is None else max(0.0, wake_at - self._clock())

    async def _push(self, subscription: Subscription, lease: Lease) -> None:
        started = monotonic()
        fault = self._faults.draw("push", subscription.name)
        if fault is None:
            answer = await self._send(subscription, lease)
        else:
            answer = await self._misbehave(subscription, lease, fault)
        self._settle(subscription, lease, answer, fault)
        _log(subscription, lease, answer, monotonic() - started)

    async def _send(self, subscription: Subscription, lease: Lease) -> Answer:
        answer = await self._sender.post(subscription, lease)
        held = self._held.get(subscription.name)
        if held is not None and int(held.message_id) < int(lease.message.message_id):
            held.overtaken.set()
        return answer

    async def _misbehave(self, subscription: Subscription, lease: Lease, fault: Fault) -> Answer:
        if fault.kind is Kind.PUSH_DUPLICATE:
            self.push_copy(subscription, lease, fault=fault.kind)
            return await self._send(subscription, lease)
        lease.delivery.fault = fault.kind
        match fault.kind:
            case Kind.PUSH_FAIL:
                return fault.status, "not sent: failed on purpose"
            case Kind.PUSH_DROP:
                return None, "not sent: dropped on purpose"
            case Kind.PUSH_CLOSE:
                await self._sender.post(subscription, lease, seconds=UNTIL_CLOSED)
                return None, "the connection was closed on purpose"
            case Kind.PUSH_DELAY:
                await asyncio.sleep(fault.seconds or 0.0)
            case Kind.PUSH_REORDER:
                await self._hold(subscription.name, lease, fault.seconds or 0.0)
        if not self._broker.is_out(subscription.name, lease.ack_id):
            return None, "not sent: no longer wanted"
        return await self._send(subscription, lease)

    async def _hold(self, name: str, lease: Lease, seconds: float) -> None:
        """Until a later push has been answered, or none was in this time; one at a time."""
        if name in self._held:
            return
        held = self._held[name] = _Held(lease.message.message_id)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await held.overtaken.wait()
        finally:
            del self._held[name]

    def _settle(
        self, subscription: Subscription, lease: Lease, answer: Answer, fault: Fault | None
    ) -> None:
        status, error = answer
        if status in ACKNOWLEDGING:
            self._broker.acknowledge(subscription.name, lease.ack_id, status=status)
        elif fault is not None and fault.kind is Kind.PUSH_DROP:
            self._broker.let_expire(subscription.name, lease.ack_id)
        else:
            self._broker.nack(subscription.name, lease.ack_id, status=status, error=error)

    async def _push_copy(self, subscription: Subscription, lease: Lease, fault: str) -> None:
        started = monotonic()
        delivery = self._broker.add_delivery(lease, fault)
        status, error = answer = await self._sender.post(subscription, lease)
        self._broker.end_delivery(lease, delivery, status=status, error=error)
        _log(subscription, lease, answer, monotonic() - started)

    async def _cancel_pushes(self) -> None:
        self.forget()
        await asyncio.gather(*self._pushes, return_exceptions=True)


def _log(subscription: Subscription, lease: Lease, answer: Answer, seconds: float) -> None:
    status, error = answer
    logger.info(
        "%s message %s attempt %d: %s in %.0f ms",
        subscription.name,
        lease.message.message_id,
        lease.attempt,
        status or error,
        seconds * 1000,
    )
