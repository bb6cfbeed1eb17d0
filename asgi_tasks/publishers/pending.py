"""A message, from its enqueue until the broker has confirmed it or its budget is spent."""

import asyncio
import concurrent.futures
import time
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii

from .failures import Failure, PublishError

# Bytes of a request's body, as gcloud-aio writes it: what stands around a message's data and
# around the two texts of an attribute.
AROUND_MESSAGE = 40
AROUND_ATTRIBUTE = 8
STOPPED = "the publisher was stopped"


@dataclass(slots=True, eq=False)
class Pending:
    """One message, and who waits for it: a coroutine on the loop, or a thread."""

    data: bytes
    attributes: dict[str, str]
    budget: float  # seconds from now
    confirmed: asyncio.Future[str] | concurrent.futures.Future[str]  # the broker's id
    deadline: float = field(init=False)  # by time.monotonic()
    maybe_published: bool = False
    failure: Failure | None = None  # of the last attempt
    watched: "OrderedDict[Pending, None] | None" = None  # it is among these, whose time runs

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.budget

    @property
    def size(self) -> int:
        """What it adds to a request's body, in bytes: JSON, the data in base64."""
        texts = encode_basestring_ascii("".join((*self.attributes, *self.attributes.values())))
        around = AROUND_MESSAGE + AROUND_ATTRIBUTE * len(self.attributes)
        return (len(self.data) + 2) // 3 * 4 + len(texts) + around

    def forget(self) -> None:
        """Watch its time no longer."""
        if self.watched is not None:
            del self.watched[self]
            self.watched = None

    def confirm(self, message_id: str) -> None:
        self.forget()
        if not self.confirmed.done():
            self.confirmed.set_result(message_id)

    def fail(self, reason: str = "", cause: BaseException | None = None) -> None:
        """For this reason; for that of the last attempt unless given."""
        self.forget()
        if self.confirmed.done():
            return
        if not reason:
            reason, cause = self.failure[:2] if self.failure else ("no answer in time", None)
        error = PublishError(reason, maybe_published=self.maybe_published)
        error.__cause__ = cause or TimeoutError()
        self.confirmed.set_exception(error)


class Deadlines:
    """Fails what is not confirmed in time.

    What has the same budget ends in the order it came: one timer for all of that is enough.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: defaultdict[float, OrderedDict[Pending, None]] = defaultdict(OrderedDict)
        self._timers: dict[float, asyncio.TimerHandle] = {}

    def watch(self, pending: Pending) -> None:
        """Until it is forgotten."""
        pending.watched = self._watched[pending.budget]
        pending.watched[pending] = None
        if pending.budget not in self._timers:
            self._start_timer(pending)

    def _start_timer(self, first: Pending) -> None:
        seconds = first.deadline - time.monotonic()
        # In no context: it outlives whoever came first.
        timer = self._loop.call_later(seconds, self._expire, first.budget, context=Context())
        self._timers[first.budget] = timer

    def _expire(self, budget: float) -> None:
        del self._timers[budget]
        watched, now = self._watched[budget], time.monotonic()
        while watched:
            first = next(iter(watched))
            if first.deadline > now:
                self._start_timer(first)
                return
            first.fail()
        del self._watched[budget]


def still_waited_for(batch: Sequence[Pending]) -> list[Pending]:
    """Those whose callers have not left, and whose time is not over."""
    now = time.monotonic()
    return [each for each in batch if each.deadline > now and not each.confirmed.done()]


def seconds_left(batch: Sequence[Pending]) -> float:
    """Until the last deadline."""
    return max([pending.deadline for pending in batch]) - time.monotonic()
