"""What a plan consists of."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from .resources import Grant, Pair, Subscription, Topic

type Value = str | float | bool | None
type Key = tuple[str, str, str]


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    GRANT = "grant"
    RETIRE = "retire"  # no route needs it: a label says since when
    DELETE = "delete"
    BLOCKED = "blocked"  # Pub/Sub cannot change it in place, so nothing is done to the pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field by the API's name for it; None is "not set"."""

    field: str
    before: Value
    after: Value

    @property
    def mask(self) -> str:
        """The part of an update mask that covers it."""
        return self.field.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step. ``resource`` is as it will be, and as it is if it is to go or blocked."""

    action: Action
    resource: Topic | Subscription | Grant
    differences: tuple[Difference, ...] = ()
    why: str = ""
    command: str = ""  # what a person may run instead

    @property
    def key(self) -> Key:
        """What tells it from the other changes of a plan."""
        return self.action, self.kind, self.name

    @property
    def kind(self) -> str:
        return type(self.resource).__name__.lower()

    @property
    def name(self) -> str:
        """The full name of the topic or subscription it is about."""
        return self.resource.resource if isinstance(self.resource, Grant) else self.resource.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Changes that build on each other, in this order."""

    name: str  # of the topic, in full
    pair: Pair | None  # None: no route needs it
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something of ours that no route needs, and that is not deleted now."""

    name: str
    why: str
    retired: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    chains: tuple[Chain, ...]  # none of them empty; that of the dead letters comes first
    dead_letters: Pair
    has_dead_letters: bool  # whether their topic is there already
    leftovers: tuple[Leftover, ...] = ()
    paused: tuple[Subscription, ...] = ()
    unreadable: tuple[str, ...] = ()  # whose policy we may not read, so that a grant is in doubt

    def __iter__(self) -> Iterator[Change]:
        return (change for chain in self.chains for change in chain.changes)

    def __len__(self) -> int:
        return sum(len(chain.changes) for chain in self.chains)
