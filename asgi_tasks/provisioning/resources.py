"""Topics, subscriptions and grants: as they should be, and as they are. Times are in seconds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

DELETED_TOPIC: Final = "_deleted-topic_"  # what Pub/Sub shows once a subscription's topic is gone

type Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic, by its full resource name."""

    name: str
    labels: Labels = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription, by its full resource name, with all that matters here."""

    name: str
    topic: str
    endpoint: str = ""  # none: it is pulled, or paused
    service_account: str = ""
    audience: str = ""
    unwrapped: bool = False  # pushed without the envelope that PushEndpoint reads
    ack_deadline: int = 10
    min_retry_delay: float | None = None  # None: no policy, redelivered at once
    max_retry_delay: float | None = None
    dead_letter_topic: str = ""
    max_delivery_attempts: int = 0
    retention: float = 604_800
    expires_after: float | None = None  # idle; None: never
    labels: Labels = field(default_factory=dict, hash=False)
    # What Pub/Sub does not change once it is there.
    filter: str = ""
    ordered: bool = False
    export: str = ""  # bigquery_config, ...: neither pushed nor pulled
    detached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What somebody may do with a topic or subscription."""

    resource: str  # its full name
    role: str
    member: str  # empty: whoever runs this


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A topic and its subscription, made in this order: a lone topic loses what is published."""

    topic: Topic
    subscription: Subscription
    grant: Grant | None  # None: somebody else's work


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """All that the routes of a site need in its project."""

    project: str  # projects/ID
    environment: str
    prefix: str  # of all topic ids: prod-gyrinx-tasks-
    dead_letters: Pair
    routes: tuple[Pair, ...]

    def __iter__(self) -> Iterator[Pair]:
        """Every pair, in the order they have to be made."""
        return iter((self.dead_letters, *self.routes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What there is, each by its full name."""

    topics: Mapping[str, Topic] = field(default_factory=dict)
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    # Who has which role without condition, by resource. Absent: not read. None: not readable.
    grants: Mapping[str, frozenset[tuple[str, str]] | None] = field(default_factory=dict)


def kind(name: str) -> str:
    """The part of a full name that says what it is: topics or subscriptions."""
    return name.split("/")[2]


def short(name: str) -> str:
    """The last part of a full name, for people."""
    return name.rpartition("/")[2]
