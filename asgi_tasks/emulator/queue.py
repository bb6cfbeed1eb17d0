"""One subscription's messages: waiting, in the order they fall due, or leased out."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from heapq import heappop, heappush

from asgi_tasks.emulator.model import Delivery, Entry, Lease, Message, State, Subscription

# Google pauses a push subscription for at least this long after a failure, policy or not.
MINIMUM_PUSH_BACKOFF = 0.1
# Whatever the time factor: an endpoint that is down must not keep a core busy.
SHORTEST_PUSH_BACKOFF = 0.01


class SubscriptionQueue:
    def __init__(
        self, subscription: Subscription, *, clock: Callable[[], float], time_factor: float
    ) -> None:
        self.subscription = subscription
        self._clock = clock
        self._time_factor = time_factor
        self._waiting: list[tuple[float, int, Entry]] = []
        self._leased: dict[str, Entry] = {}
        # Superseded deadlines stay in the heap; they are told by the entry's own and skipped.
        self._expiries: list[tuple[float, str]] = []

    def __iter__(self) -> Iterator[Entry]:
        yield from (entry for _, _, entry in self._waiting)
        yield from self._leased.values()

    def add(self, message: Message) -> None:
        self._wait(Entry(message=message, subscription=self.subscription.name), self._clock())

    def lease(self, limit: int, seconds: float | None) -> list[Lease]:
        """Hand out what is due, for so many seconds, or until settled when None."""
        now = self._clock()
        leases: list[Lease] = []
        while self._waiting and len(leases) < limit and self._waiting[0][0] <= now:
            entry = heappop(self._waiting)[2]
            leases.append(self._deliver(entry, now))
            if seconds is not None:
                self._set_expiry(entry, now + seconds)
        return leases

    def extend(self, ack_id: str, seconds: float) -> None:
        entry = self._leased.get(ack_id)
        if entry is not None and entry.expires_at is not None:
            self._set_expiry(entry, self._clock() + seconds)

    def settle(self, ack_id: str, status: int | None, error: str | None) -> Entry | None:
        """End a delivery; the entry is then the caller's to finish or to retry."""
        entry = self._leased.pop(ack_id, None)
        if entry is not None:
            entry.expires_at = None
            delivery = entry.deliveries[-1]
            delivery.finished_at = self._clock()
            delivery.status, delivery.error = status, error
        return entry

    def retry(self, entry: Entry) -> None:
        entry.state = State.WAITING
        self._wait(entry, self._clock() + self._backoff(entry.attempts))

    def exhausted(self, entry: Entry) -> bool:
        policy = self.subscription.dead_letter
        return policy is not None and entry.attempts >= policy.max_delivery_attempts

    def expired(self) -> list[str]:
        """The ack ids of leases whose time has passed."""
        now = self._clock()
        ack_ids: list[str] = []
        while self._drop_superseded() and self._expiries[0][0] <= now:
            ack_ids.append(heappop(self._expiries)[1])
        return ack_ids

    def next_due(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def next_expiry(self) -> float | None:
        return self._expiries[0][0] if self._drop_superseded() else None

    def move_to(self, topic: str) -> None:
        self.subscription = replace(self.subscription, topic=topic)

    def _wait(self, entry: Entry, due_at: float) -> None:
        heappush(self._waiting, (due_at, int(entry.message.message_id), entry))

    def _deliver(self, entry: Entry, now: float) -> Lease:
        entry.state = State.OUTSTANDING
        entry.attempts += 1
        entry.deliveries.append(Delivery(attempt=entry.attempts, sent_at=now))
        self._leased[entry.ack_id] = entry
        return Lease(ack_id=entry.ack_id, attempt=entry.attempts, message=entry.message)

    def _set_expiry(self, entry: Entry, expires_at: float) -> None:
        entry.expires_at = expires_at
        heappush(self._expiries, (expires_at, entry.ack_id))

    def _drop_superseded(self) -> bool:
        while self._expiries:
            expires_at, ack_id = self._expiries[0]
            entry = self._leased.get(ack_id)
            if entry is not None and entry.expires_at == expires_at:
                return True
            heappop(self._expiries)
        return False

    def _backoff(self, failures: int) -> float:
        policy = self.subscription.retry
        delay = policy.delay(failures) if policy else 0.0
        if self.subscription.push is None:
            return delay * self._time_factor
        scaled = max(delay, MINIMUM_PUSH_BACKOFF) * self._time_factor
        return max(scaled, SHORTEST_PUSH_BACKOFF)
