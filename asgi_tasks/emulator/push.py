"""Push delivery: leases what is due, POSTs it, and settles it by the answer."""

import asyncio
import base64
import io
import json
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final

import aiohttp

from asgi_tasks.emulator.bell import Bell
from asgi_tasks.emulator.broker import Broker
from asgi_tasks.emulator.clock import rfc3339
from asgi_tasks.emulator.model import Lease, PushTarget, Subscription
from asgi_tasks.emulator.tokens import TokenMint

logger = logging.getLogger("asgi_tasks.emulator")

# As Google's. The 102 is never a final answer in HTTP, so no client reports it as one.
ACKNOWLEDGING: Final = frozenset({102, 200, 201, 202, 204})
MAX_IN_FLIGHT: Final = 1000
MAX_ANSWER_BYTES: Final = 65_536


class Pusher:
    """Pushes until it is cancelled, and leaves no request behind."""

    def __init__(
        self, broker: Broker, *, bell: Bell, mint: TokenMint, clock: Callable[[], float]
    ) -> None:
        self._broker = broker
        self._bell = bell
        self._mint = mint
        self._clock = clock
        self._in_flight: Counter[str] = Counter()
        self._pushes: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        async with _session() as session:
            try:
                while True:
                    self._start_due(session)
                    await self._bell.wait(self._pause())
            finally:
                await self._cancel_pushes()

    def _start_due(self, session: aiohttp.ClientSession) -> None:
        self._broker.expire()
        for subscription in self._broker.push_subscriptions():
            for lease in self._broker.lease(subscription.name, self._room(subscription)):
                self._start(session, subscription, lease)

    def _start(
        self, session: aiohttp.ClientSession, subscription: Subscription, lease: Lease
    ) -> None:
        push = asyncio.create_task(self._push(session, subscription, lease))
        self._in_flight[subscription.name] += 1
        self._pushes.add(push)
        push.add_done_callback(partial(self._ended, subscription.name))

    def _ended(self, name: str, push: asyncio.Task[None]) -> None:
        self._pushes.discard(push)
        self._in_flight[name] -= 1
        if not self._in_flight[name]:
            del self._in_flight[name]
        self._bell.ring()

    def _room(self, subscription: Subscription) -> int:
        return MAX_IN_FLIGHT - self._in_flight[subscription.name]

    def _pause(self) -> float | None:
        """How long nothing falls due; a full subscription has the end of a push to wait for."""
        due = [self._broker.next_expiry()]
        due += [
            self._broker.next_due(subscription.name)
            for subscription in self._broker.push_subscriptions()
            if self._room(subscription)
        ]
        soonest = min((at for at in due if at is not None), default=None)
        return None if soonest is None else max(0.0, soonest - self._clock())

    async def _push(
        self, session: aiohttp.ClientSession, subscription: Subscription, lease: Lease
    ) -> None:
        if subscription.push is None:
            return
        started = monotonic()
        status, error = await self._post(session, subscription, subscription.push, lease)
        if status in ACKNOWLEDGING:
            self._broker.acknowledge(subscription.name, lease.ack_id, status=status)
        else:
            self._broker.nack(subscription.name, lease.ack_id, status=status, error=error)
        logger.info(
            "%s message %s attempt %d: %s in %.0f ms",
            subscription.name,
            lease.message.message_id,
            lease.attempt,
            status or error,
            (monotonic() - started) * 1000,
        )

    async def _post(
        self,
        session: aiohttp.ClientSession,
        subscription: Subscription,
        target: PushTarget,
        lease: Lease,
    ) -> tuple[int | None, str | None]:
        """The answer's status, or why there was none."""
        try:
            async with session.post(
                target.endpoint,
                # Bytes would be written in one piece, however large, and stop the loop meanwhile.
                data=io.BytesIO(wrapped(subscription, lease)),
                headers=self._headers(target),
                timeout=aiohttp.ClientTimeout(total=subscription.ack_deadline),
                allow_redirects=False,
            ) as response:
                # A connection is used again only once its answer has been read.
                await response.content.read(MAX_ANSWER_BYTES)
                return response.status, None
        except TimeoutError:
            return None, f"no answer within {subscription.ack_deadline} s"
        except Exception as error:  # however an endpoint fails, it is a nack
            return None, f"{type(error).__name__}: {error}"[:200]

    def _headers(self, target: PushTarget) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "asgi-tasks-emulator"}
        if target.service_account:
            token = self._mint.token(
                service_account=target.service_account,
                audience=target.audience or target.endpoint,
            )
            headers["Authorization"] = f"Bearer {token}"
        return headers

    async def _cancel_pushes(self) -> None:
        pushes = list(self._pushes)
        for push in pushes:
            push.cancel()
        await asyncio.gather(*pushes, return_exceptions=True)


def wrapped(subscription: Subscription, lease: Lease) -> bytes:
    """The body of a push, with both spellings of what Google spells twice."""
    message = lease.message
    published_at = rfc3339(message.published_at)
    wrapped_message: dict[str, Any] = {
        "messageId": message.message_id,
        "message_id": message.message_id,
        "publishTime": published_at,
        "publish_time": published_at,
    }
    if message.data:
        wrapped_message["data"] = base64.b64encode(message.data).decode("ascii")
    if message.attributes:
        wrapped_message["attributes"] = dict(message.attributes)
    if message.ordering_key:
        wrapped_message["orderingKey"] = message.ordering_key
    body: dict[str, Any] = {"message": wrapped_message, "subscription": subscription.name}
    if subscription.dead_letter is not None:
        body["deliveryAttempt"] = lease.attempt
    return json.dumps(body).encode()


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
