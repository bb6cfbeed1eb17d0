"""When to look at which subscription again."""

from heapq import heapify, heappop, heappush
from typing import Final

SUPERSEDED_KEPT: Final = 100


class Timers:
    """At most one time a name."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []  # may hold superseded times: skipped
        self._at: dict[str, float] = {}

    def set(self, name: str, at: float | None) -> None:
        """Instead of the time it had, if any; None takes it away."""
        if at is None:
            self._at.pop(name, None)
        elif at != self._at.get(name):
            self._at[name] = at
            heappush(self._heap, (at, name))
            self._drop_superseded()

    def due(self, now: float) -> list[str]:
        """The names whose time has come; each has to be set again."""
        names: list[str] = []
        while (at := self.next()) is not None and at <= now:
            name = heappop(self._heap)[1]
            del self._at[name]
            names.append(name)
        return names

    def next(self) -> float | None:
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _drop_superseded(self) -> None:
        # Most lie days ahead, where messages would have expired, and never come up.
        if len(self._heap) > 2 * len(self._at) + SUPERSEDED_KEPT:
            self._heap = [(at, name) for name, at in self._at.items()]
            heapify(self._heap)
