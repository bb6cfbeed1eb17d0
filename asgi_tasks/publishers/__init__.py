"""One publisher an event loop: awaited there, or from sync code through a loop in a thread.

A publisher joins what waits for the same topic into one request, retries what is transient until
the budget of each message is spent, and finds the one that spoils a request for the others.
gcloud-aio is imported at the first enqueue: a web process that never publishes does not pay for it.
"""

import asyncio
import atexit
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from .background import BackgroundLoop
from .failures import PublishError
from .pending import Pending
from .publisher import make_publisher, publishers

__all__ = ["PublishError", "diverted", "publish", "publish_from_thread", "stop"]

type Carrier = Callable[[str, bytes, dict[str, str]], str]

# Seconds that a thread waits beyond the budget, should the loop in its thread be blocked.
GRACE = 2


async def publish(topic: str, data: bytes, attributes: dict[str, str], *, budget: float) -> str:
    """Publish a message and return its id once the broker gave one.

    ``topic`` is a full resource name, ``budget`` the whole time for it in seconds.
    Raise PublishError.
    """
    if _carriers:
        return _carriers[-1](topic, data, attributes)
    loop = asyncio.get_running_loop()
    publisher = publishers.get(loop) or await make_publisher(loop)
    confirmed: asyncio.Future[str] = loop.create_future()
    pending = Pending(data, attributes, budget, confirmed)
    publisher.submit(topic, pending)
    try:
        return await confirmed
    finally:
        pending.forget()  # where the caller is cancelled


def publish_from_thread(
    topic: str, data: bytes, attributes: dict[str, str], *, budget: float
) -> str:
    """See publish(). Blocks the calling thread, which runs no event loop."""
    if _carriers:
        return _carriers[-1](topic, data, attributes)
    confirmed = Future[str]()
    pending = Pending(data, attributes, budget, confirmed)
    return _background.publish(topic, pending, confirmed, budget + GRACE)


@contextmanager
def diverted(carrier: Carrier) -> Iterator[None]:
    """Hand to ``carrier`` all that this process publishes, instead of to the broker: for tests.

    It takes the topic, data and attributes; it returns the message's id or raises PublishError.
    """
    _carriers.append(carrier)
    try:
        yield
    finally:
        _carriers.remove(carrier)


_carriers: list[Carrier] = []  # the last one carries
_background = BackgroundLoop()


def _start_anew() -> None:
    """In a forked child: start another loop when one is needed."""
    global _background  # noqa: PLW0603
    # The parent's client stays in `publishers`, uncollected: closing its connections would reach
    # into the epoll instance that both processes share.
    _background = BackgroundLoop()


def stop() -> None:
    """Close the publisher of sync code. Runs at exit."""
    _background.stop()


os.register_at_fork(after_in_child=_start_anew)
atexit.register(stop)
