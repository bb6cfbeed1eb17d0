"""What happened, bounded: finished messages, the last deliveries, the last dead letters."""

from collections import deque

from asgi_tasks.emulator.broker.model import Delivery, Entry, Lease

FINISHED_KEPT = 20_000
RECENT_KEPT = 100


class Record:
    def __init__(self, finished_kept: int = FINISHED_KEPT) -> None:
        self.finished: deque[Entry] = deque(maxlen=finished_kept)
        self.deliveries: deque[tuple[Entry, Delivery]] = deque(maxlen=RECENT_KEPT)
        self.dead_letters: deque[Entry] = deque(maxlen=RECENT_KEPT)
        self.last_pushed: dict[str, Lease] = {}  # by subscription, the last one last

    def pushed(self, lease: Lease) -> None:
        name = lease.entry.subscription
        self.last_pushed.pop(name, None)
        self.last_pushed[name] = lease

    def forget(self, subscription: str) -> None:
        """It is gone: what was pushed there last cannot be pushed again."""
        self.last_pushed.pop(subscription, None)

    def clear(self) -> None:
        for kept in (self.finished, self.deliveries, self.dead_letters, self.last_pushed):
            kept.clear()
