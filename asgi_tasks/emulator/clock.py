"""Time: one clock that jumps only when it is told to, and how it is written down."""

import time
from datetime import UTC, datetime


class Clock:
    """
    Seconds since the epoch: at first the machine's, from then on by the monotonic clock. It can be
    moved forward, and stopped until it is moved.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._stopped_at: float | None = None

    def __call__(self) -> float:
        if self._stopped_at is not None:
            return self._stopped_at
        return time.monotonic() + self._offset

    @property
    def frozen(self) -> bool:
        return self._stopped_at is not None

    def advance(self, seconds: float) -> None:
        if self._stopped_at is not None:
            self._stopped_at += seconds
        else:
            self._offset += seconds

    def freeze(self) -> None:
        self._stopped_at = self()

    def resume(self) -> None:
        self._offset = self() - time.monotonic()
        self._stopped_at = None


def rfc3339(seconds: float) -> str:
    """UTC with microseconds."""
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="microseconds") + "Z"
