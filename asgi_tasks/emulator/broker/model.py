"""The emulator's nouns. Plain data: no sockets, no event loop, no protobuf."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

DELETED_TOPIC = "_deleted-topic_"
DELIVERIES_KEPT = 200
DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    name: str
    resource: Any = None  # the adapters' own form of it, handed back as it came


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTarget:
    endpoint: str
    service_account: str = ""  # empty: the push carries no token
    audience: str = ""  # empty: the endpoint's URL


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    minimum_backoff: float = 10.0
    maximum_backoff: float = 600.0

    def delay(self, failures: int) -> float:
        """The wait after this many failed deliveries of one message."""
        return min(self.maximum_backoff, self.minimum_backoff * 2.0 ** min(failures - 1, 60))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterPolicy:
    topic: str
    max_delivery_attempts: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    name: str
    topic: str
    ack_deadline: int = 10
    push: PushTarget | None = None  # None: it is pulled
    retry: RetryPolicy | None = None  # None: redelivered at once
    dead_letter: DeadLetterPolicy | None = None
    filter: Callable[[Mapping[str, str]], bool] | None = None  # over a message's attributes
    ordered: bool = False
    retention: float = 7 * DAY  # seconds a message is kept
    idle_ttl: float | None = None  # seconds without use until it is deleted; None: never
    resource: Any = None  # as in Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a publisher hands in."""

    data: bytes = b""
    attributes: Mapping[str, str] = field(default_factory=dict)
    ordering_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    message_id: str
    topic: str
    published_at: float
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str


class State(StrEnum):
    WAITING = "waiting"
    OUTSTANDING = "outstanding"
    ACKNOWLEDGED = "acknowledged"
    DEAD_LETTERED = "dead_lettered"
    EXPIRED = "expired"  # older than the subscription keeps messages


@dataclass(slots=True, kw_only=True)
class Delivery:
    attempt: int
    sent_at: float
    finished_at: float | None = None
    status: int | None = None  # None: there was no answer, or it was pulled
    error: str | None = None
    fault: str | None = None  # what was done to it on purpose

    def end(self, at: float, *, status: int | None, error: str | None) -> None:
        self.finished_at, self.status, self.error = at, status, error


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """One message for one subscription, and all that happened to it."""

    message: Message
    subscription: str
    state: State = State.WAITING
    attempts: int = 0
    counted: int = 0  # of the attempts, those that count towards its dead-letter policy
    expires_at: float | None = None  # of a pulled message's lease
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def ack_id(self) -> str:
        """Names the current delivery; an earlier one's no longer fits."""
        return f"{self.message.message_id}-{self.attempts}"

    @property
    def line(self) -> str:
        """The ordering key, one message of which is delivered at a time."""
        return self.message.ordering_key

    def note(self, delivery: Delivery) -> Delivery:
        # Endless redelivery must not fill the memory; the attempt numbers show what is missing.
        if len(self.deliveries) >= DELIVERIES_KEPT:
            del self.deliveries[0]
        self.deliveries.append(delivery)
        return delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One delivery of a message, to be settled by its ack id."""

    ack_id: str
    attempt: int
    counted: int  # the delivery attempt as Google reports it
    message: Message
    entry: Entry
    delivery: Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What of Google's timing is changed."""

    factor: float = 1.0  # multiplies retry delays and push backoff
    push_window: int = 5  # pushes of a subscription under way at first
