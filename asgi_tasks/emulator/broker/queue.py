"""One subscription's messages: waiting, in the order they fall due, or leased out."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from heapq import heapify, heappop, heappush

from asgi_tasks.emulator.broker.flow import PushFlow
from asgi_tasks.emulator.broker.model import (
    Delivery,
    Entry,
    Lease,
    Message,
    State,
    Subscription,
    Timing,
)


class SubscriptionQueue:
    def __init__(
        self,
        subscription: Subscription,
        *,
        clock: Callable[[], float],
        timing: Timing,
        counts: Callable[[Subscription], bool],
    ) -> None:
        self.subscription = subscription
        self.flow = PushFlow(clock=clock, timing=timing)
        self.used_at = clock()
        self.totals: dict[State, int] = dict.fromkeys(State, 0)
        self._clock = clock
        self._factor = timing.factor
        self._counts = counts
        self._entries: OrderedDict[str, Entry] = OrderedDict()  # unfinished, oldest first
        self._waiting: list[tuple[float, int, Entry]] = []  # may hold finished ones: skipped
        self._leased: dict[str, Lease] = {}
        self._lines: dict[str, deque[Entry]] = {}  # by ordering key: those behind the first
        # Superseded deadlines stay in the heap; they are told by the entry's own and skipped.
        self._expiries: list[tuple[float, str]] = []

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    @property
    def outstanding(self) -> int:
        return len(self._leased)

    @property
    def waiting(self) -> int:
        return len(self._entries) - len(self._leased)

    @property
    def oldest(self) -> Entry | None:
        return next(iter(self._entries.values()), None)

    def add(self, message: Message) -> None:
        entry = Entry(message=message, subscription=self.subscription.name)
        self._entries[message.message_id] = entry
        if self.subscription.ordered and entry.line:
            line = self._lines.get(entry.line)
            if line is not None:
                line.append(entry)
                return
            self._lines[entry.line] = deque()
        self._wait(entry, message.published_at)

    def skip(self, message: Message) -> Entry:
        """It is not for this subscription: the entry of one that was acknowledged at once."""
        self.totals[State.ACKNOWLEDGED] += 1
        return Entry(
            message=replace(message, data=b""),
            subscription=self.subscription.name,
            state=State.ACKNOWLEDGED,
        )

    def lease(self, limit: int, seconds: float | None) -> list[Lease]:
        """Hand out what is due, for so many seconds, or until settled when None."""
        now = self._clock()
        leases: list[Lease] = []
        while len(leases) < limit and self._is_due(now):
            lease = self._deliver(heappop(self._waiting)[2], now)
            if seconds is not None:
                self._set_expiry(lease, now + seconds)
            leases.append(lease)
        return leases

    def lease_pushes(self) -> list[Lease]:
        """Hand out what is due and the push window has room for."""
        if self.subscription.push is None or self._clock() < self.flow.paused_until:
            return []
        return self.lease(self.flow.room(self.outstanding), None)

    def has_leased(self, ack_id: str) -> bool:
        return ack_id in self._leased

    def extend(self, ack_id: str, seconds: float) -> None:
        lease = self._leased.get(ack_id)
        if lease is not None and lease.entry.expires_at is not None:
            self._set_expiry(lease, self._clock() + seconds)

    def let_expire(self, ack_id: str) -> None:
        """Nobody will settle this delivery; it ends when its ack deadline has passed."""
        lease = self._leased.get(ack_id)
        if lease is not None:
            self._set_expiry(lease, self._clock() + self.subscription.ack_deadline * self._factor)

    def settle(
        self, ack_id: str, *, good: bool, status: int | None = None, error: str | None = None
    ) -> Lease | None:
        """End a delivery; its message is then the caller's to finish or to retry."""
        lease = self._leased.pop(ack_id, None)
        if lease is None:
            return None
        lease.entry.expires_at = None
        lease.delivery.end(self._clock(), status=status, error=error)
        if self.subscription.push is not None:
            self._report(good=good)
        return lease

    def retry(self, entry: Entry) -> None:
        policy = self.subscription.retry
        delay = policy.delay(entry.attempts) if policy else 0.0
        entry.state = State.WAITING
        self._wait(entry, self._clock() + delay * self._factor)

    def finish(self, entry: Entry, state: State) -> None:
        """It leaves for good; with ordering, the next of its key moves up."""
        del self._entries[entry.message.message_id]
        lease = self._leased.pop(entry.ack_id, None)
        if lease is not None:
            lease.delivery.end(self._clock(), status=None, error="the message expired")
        entry.state = state
        entry.message = replace(entry.message, data=b"")
        self.totals[state] += 1
        line = self._lines.get(entry.line) if self.subscription.ordered else None
        if line:
            self._wait(line.popleft(), self._clock())
        elif line is not None:
            del self._lines[entry.line]

    def exhausted(self, entry: Entry) -> bool:
        policy = self.subscription.dead_letter
        return policy is not None and entry.counted >= policy.max_delivery_attempts

    def expired(self) -> list[str]:
        """The ack ids of leases whose time has passed."""
        now = self._clock()
        ack_ids: list[str] = []
        while self._drop_superseded() and self._expiries[0][0] <= now:
            ack_ids.append(heappop(self._expiries)[1])
        return ack_ids

    def outdated(self) -> Entry | None:
        """The oldest message, if it is older than the subscription keeps them."""
        oldest = self.oldest
        return oldest if oldest and self._outdated_at(oldest) <= self._clock() else None

    def idle(self) -> bool:
        gone_at = self._gone_at()
        return gone_at is not None and gone_at <= self._clock()

    def make_due(self) -> None:
        """Forget every delay of redelivery."""
        now = self._clock()
        self._waiting = [(min(at, now), number, entry) for at, number, entry in self._waiting]
        heapify(self._waiting)

    def next_due(self) -> float | None:
        self._drop_finished()
        return self._waiting[0][0] if self._waiting else None

    def next_wake(self) -> float | None:
        """When something is to be done here without anybody asking."""
        times = [self._next_push(), self._next_expiry(), self._gone_at()]
        if self.oldest is not None:
            times.append(self._outdated_at(self.oldest))
        return min((at for at in times if at is not None), default=None)

    def move_to(self, topic: str) -> None:
        self.subscription = replace(self.subscription, topic=topic)

    def _wait(self, entry: Entry, due_at: float) -> None:
        heappush(self._waiting, (due_at, int(entry.message.message_id), entry))

    def _is_due(self, now: float) -> bool:
        due_at = self.next_due()
        return due_at is not None and due_at <= now

    def _deliver(self, entry: Entry, now: float) -> Lease:
        entry.state = State.OUTSTANDING
        entry.attempts += 1
        entry.counted += self._counts(self.subscription)
        lease = Lease(
            ack_id=entry.ack_id,
            attempt=entry.attempts,
            counted=max(1, entry.counted),
            message=entry.message,
            entry=entry,
            delivery=entry.note(Delivery(attempt=entry.attempts, sent_at=now)),
        )
        self._leased[lease.ack_id] = lease
        return lease

    def _report(self, *, good: bool) -> None:
        if good:
            self.used_at = self._clock()
            self.flow.acknowledged()
        else:
            self.flow.failed()

    def _set_expiry(self, lease: Lease, expires_at: float) -> None:
        lease.entry.expires_at = expires_at
        heappush(self._expiries, (expires_at, lease.ack_id))

    def _drop_superseded(self) -> bool:
        while self._expiries:
            expires_at, ack_id = self._expiries[0]
            lease = self._leased.get(ack_id)
            if lease is not None and lease.entry.expires_at == expires_at:
                return True
            heappop(self._expiries)
        return False

    def _drop_finished(self) -> None:
        while self._waiting and self._waiting[0][2].state is not State.WAITING:
            heappop(self._waiting)

    def _next_push(self) -> float | None:
        due_at = self.next_due()
        if self.subscription.push is None or due_at is None:
            return None
        return max(due_at, self.flow.paused_until) if self.flow.room(self.outstanding) else None

    def _next_expiry(self) -> float | None:
        return self._expiries[0][0] if self._drop_superseded() else None

    def _outdated_at(self, entry: Entry) -> float:
        return entry.message.published_at + self.subscription.retention

    def _gone_at(self) -> float | None:
        ttl = self.subscription.idle_ttl
        return None if ttl is None else self.used_at + ttl
