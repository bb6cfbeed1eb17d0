"""What `task_status` finds out, and what of it needs a person."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from asgi_tasks.exceptions import ProvisioningError
from asgi_tasks.management.routes import AS_IT_SHOULD_BE, drift
from asgi_tasks.management.tables import duration
from asgi_tasks.provisioning import Action, Live, Pair, Plan, PubSubAdmin, desired, plan
from asgi_tasks.provisioning.backlogs import Backlog, Backlogs, Source
from asgi_tasks.provisioning.pausing import paused_since
from asgi_tasks.provisioning.resources import short
from asgi_tasks.routes import DEAD_LETTER, RouteTable

MANAGE: Final = "python manage.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A topic and its subscription: as they are, and what waits there."""

    name: str  # of the route, or one of its aliases; of the subscription if no route needs it
    alias_of: str | None = None
    topic: str  # in full
    subscription: str  # in full
    has_topic: bool
    has_subscription: bool
    paused_since: str = ""  # a date, as the label has it
    drift: tuple[str, ...] = ()
    remedy: str = f"{MANAGE} provision_tasks"  # of the drift
    retention: float = 0  # seconds until a message is deleted
    backlog: Backlog | None = None  # None: not known

    @property
    def words(self) -> str:
        """All but the backlog."""
        paused = (f"paused since {self.paused_since}",) if self.paused_since else ()
        return "; ".join((*paused, *self.drift)) or AS_IT_SHOULD_BE

    @property
    def messages(self) -> int:
        return self.backlog.messages if self.backlog else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What needs a person, and the command to begin with."""

    name: str
    text: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All that Pub/Sub and the source of the backlogs tell about the tasks of a site."""

    project: str
    environment: str
    tasks: tuple[State, ...]
    dead_letters: State
    left_over: tuple[State, ...] = ()  # no route needs them, and they have messages
    source: Source | None = None  # of the backlogs; None: nobody was asked
    failure: ProvisioningError | None = None  # why the backlogs are not known

    def __iter__(self) -> Iterator[State]:
        return iter((*self.tasks, *self.left_over, self.dead_letters))

    @property
    def as_of(self) -> datetime | None:
        """When the oldest of the figures was true."""
        return min((state.backlog.at for state in self if state.backlog), default=None)

    @property
    def uncounted(self) -> tuple[State, ...]:
        """Those that are there and whose backlog the source does not know."""
        if self.source is None or self.failure:
            return ()
        return tuple(one for one in self if one.has_subscription and one.backlog is None)

    @property
    def is_known(self) -> bool:
        """Whether all that was asked for was found out.

        That a few figures are missing is usual: Cloud Monitoring has none of a subscription that is
        new, and may have none of one that nobody uses.
        """
        return self.failure is None and not (self.uncounted and self.as_of is None)


class _Seen(NamedTuple):
    plan: Plan
    live: Live
    backlogs: Backlogs


def read(table: RouteTable, admin: PubSubAdmin, source: Source | None) -> Status:
    """Look at all of it; ``source`` knows the backlogs, None does without them.

    Raise ProvisioningError if Pub/Sub does not tell what there is.
    """
    wanted, live = desired(table), admin.live()
    found = plan(wanted, live, datetime.now(UTC).date())
    backlogs, failure = _ask(source, wanted.prefix)
    seen = _Seen(found, live, backlogs)
    names = [(name, route) for route in table for name in route.names]
    return Status(
        project=table.options.project_id,
        environment=table.options.environment,
        tasks=tuple(
            _state(name, pair, seen, alias_of=None if name == route.name else route.name)
            for (name, route), pair in zip(names, wanted.routes, strict=True)
        ),
        dead_letters=_state(DEAD_LETTER, wanted.dead_letters, seen),
        left_over=tuple(_left_over(seen)),
        source=source,
        failure=failure,
    )


def problems(status: Status, max_age: float) -> Iterator[Problem]:
    """What needs a person. ``max_age`` is how long a message may wait, in seconds."""
    for state in status.tasks:
        yield from _drifted(state)
        yield from _stuck(state, max_age, status.source)
    for state in status.left_over:
        text = f"no route needs it any more, and {_waiting(state)}"
        yield Problem(
            name=state.name, text=text, command=f"{MANAGE} provision_tasks --prune --dry-run"
        )
    yield from _drifted(status.dead_letters)
    if status.dead_letters.messages:
        text = _waiting(status.dead_letters, "dead letter")
        yield Problem(name=DEAD_LETTER, text=text, command=f"{MANAGE} dead_letters list")


def _ask(source: Source | None, prefix: str) -> tuple[Backlogs, ProvisioningError | None]:
    try:
        return (source.backlogs(prefix) if source else {}), None
    except ProvisioningError as error:
        return {}, error


def _state(name: str, pair: Pair, seen: _Seen, *, alias_of: str | None = None) -> State:
    subscription = seen.live.subscriptions.get(pair.subscription.name)
    changes = [
        change for c in seen.plan.chains if c.name == pair.topic.name for change in c.changes
    ]
    blocked = next((change for change in changes if change.action is Action.BLOCKED), None)
    return State(
        name=name,
        alias_of=alias_of,
        topic=pair.topic.name,
        subscription=pair.subscription.name,
        has_topic=pair.topic.name in seen.live.topics,
        has_subscription=subscription is not None,
        paused_since=paused_since(subscription) if subscription else "",
        drift=tuple(drift(changes)),
        remedy=blocked.command if blocked else f"{MANAGE} provision_tasks",
        retention=subscription.retention if subscription else 0,
        backlog=seen.backlogs.get(pair.subscription.name),
    )


def _left_over(seen: _Seen) -> Iterator[State]:
    for leftover in seen.plan.leftovers:
        subscription = seen.live.subscriptions.get(leftover.name)
        backlog = seen.backlogs.get(leftover.name)
        if subscription and backlog and backlog.messages:
            yield State(
                name=short(subscription.name),
                topic=subscription.topic,
                subscription=subscription.name,
                has_topic=subscription.topic in seen.live.topics,
                has_subscription=True,
                drift=("no route",),
                retention=subscription.retention,
                backlog=backlog,
            )


def _drifted(state: State) -> Iterator[Problem]:
    if state.drift:
        yield Problem(name=state.name, text="; ".join(state.drift), command=state.remedy)


def _stuck(state: State, max_age: float, source: Source | None) -> Iterator[Problem]:
    """Paused, or slower than it may be."""
    if state.paused_since:
        text = f"paused since {state.paused_since}"
        text += f", and {_waiting(state)}" if state.messages else ""
        yield Problem(name=state.name, text=text, command=f"{MANAGE} task_resume {state.name}")
    elif source and state.backlog and state.messages and state.backlog.oldest > max_age:
        command = source.why(state.alias_of or state.name, state.subscription)
        yield Problem(name=state.name, text=_waiting(state), command=command)


def _waiting(state: State, noun: str = "message") -> str:
    """2 messages wait, the oldest for 3 h; it is deleted in 6 d 21 h"""
    oldest = state.backlog.oldest if state.backlog else 0
    waiting = f"1 {noun} waits, for" if state.messages == 1 else ""
    waiting = waiting or f"{state.messages:,} {noun}s wait, the oldest for"
    left = duration(max(state.retention - oldest, 0))
    return f"{waiting} {duration(oldest)}; it is deleted in {left}"
