"""Time: one clock that never jumps, and how it is written down."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


def steady_clock() -> Callable[[], float]:
    """Seconds since the epoch as of now, from then on by the monotonic clock."""
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset


def rfc3339(seconds: float) -> str:
    """UTC with microseconds."""
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="microseconds") + "Z"
