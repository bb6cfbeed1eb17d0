"""What happened, bounded: finished messages, the last deliveries, the last dead letters."""

from collections import deque

from asgi_tasks.emulator.broker.model import Delivery, Entry, Lease

FINISHED_KEPT = 20_000
ATTRIBUTES_KEPT = 20_000_000  # characters, of all finished messages together
RECENT_KEPT = 100


class Record:
    def __init__(
        self, finished_kept: int = FINISHED_KEPT, attributes_kept: int = ATTRIBUTES_KEPT
    ) -> None:
        self.finished: deque[Entry] = deque()
        self._finished_kept = finished_kept
        self._attributes_kept = attributes_kept
        self._attributes = 0
        self.deliveries: deque[tuple[Entry, Delivery]] = deque(maxlen=RECENT_KEPT)
        self.dead_letters: deque[Entry] = deque(maxlen=RECENT_KEPT)
        self.last_pushed: dict[str, Lease] = {}  # by subscription, the last one last

    def finish(self, entry: Entry) -> None:
        self.finished.append(entry)
        self._attributes += _weight(entry)
        while len(self.finished) > self._finished_kept or self._attributes > self._attributes_kept:
            self._attributes -= _weight(self.finished.popleft())

    def clear_finished(self) -> int:
        """How many there were."""
        cleared = len(self.finished)
        self.finished.clear()
        self._attributes = 0
        return cleared

    def pushed(self, lease: Lease) -> None:
        name = lease.entry.subscription
        self.last_pushed.pop(name, None)
        self.last_pushed[name] = lease

    def forget(self, subscription: str) -> None:
        """It is gone: what was pushed there last cannot be pushed again."""
        self.last_pushed.pop(subscription, None)

    def clear(self) -> None:
        self.clear_finished()
        for kept in (self.deliveries, self.dead_letters, self.last_pushed):
            kept.clear()


def _weight(entry: Entry) -> int:
    return sum(len(key) + len(value) for key, value in entry.message.attributes.items())
