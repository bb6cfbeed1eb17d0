"""The emulator's nouns. Plain data: no sockets, no event loop, no protobuf."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

DELETED_TOPIC = "_deleted-topic_"
DELIVERIES_KEPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    name: str
    resource: object = None  # the adapters' own form of it, handed back as it came


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
    resource: object = None  # as in Topic


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


@dataclass(slots=True, kw_only=True)
class Delivery:
    attempt: int
    sent_at: float
    finished_at: float | None = None
    status: int | None = None  # None: there was no answer, or it was pulled
    error: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """One message for one subscription, and all that happened to it."""

    message: Message
    subscription: str
    state: State = State.WAITING
    attempts: int = 0
    expires_at: float | None = None  # of a pulled message's lease
    # Endless redelivery must not fill the memory; the attempt numbers show what is missing.
    deliveries: deque[Delivery] = field(default_factory=lambda: deque(maxlen=DELIVERIES_KEPT))

    @property
    def ack_id(self) -> str:
        """Names the current delivery; an earlier one's no longer fits."""
        return f"{self.message.message_id}-{self.attempts}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One delivery of a message, to be settled by its ack id."""

    ack_id: str
    attempt: int
    message: Message
