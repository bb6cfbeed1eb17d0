"""apply(plan, admin): every chain by itself, many at once, and none of them stops the others."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from ..exceptions import ProvisioningError
from .changes import Action, Chain, Change, Key, Plan
from .clients import WORKERS, PubSubAdmin
from .planning import plan_pair
from .problems import Conflict
from .resources import Subscription, Topic

# Seconds before each look after a conflict; a new resource may take some to be seen everywhere.
PAUSES: Final = (0, 0.2, 0.4, 0.8, 1.6, 3.2)


class Status(StrEnum):
    DONE = "done"
    FOUND = "found"  # somebody else did it meanwhile
    FAILED = "failed"
    SKIPPED = "skipped"  # what it builds on failed
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one change."""

    change: Change
    status: Status
    error: ProvisioningError | None = None

    @property
    def is_good(self) -> bool:
        return self.status in (Status.DONE, Status.FOUND)


type Outcomes = list[Outcome]
type Report = Callable[[Chain, Outcomes], None]


def apply(
    plan: Plan,
    admin: PubSubAdmin,
    *,
    report: Report = lambda chain, outcomes: None,
    workers: int = WORKERS,
) -> Outcomes:
    """Carry out the plan: the dead letters first, as every subscription refers to them.

    ``report`` is called after each chain, in this thread.
    """
    first = [chain for chain in plan.chains if chain.pair is plan.dead_letters]
    rest = [chain for chain in plan.chains if chain.pair is not plan.dead_letters]
    outcomes: Outcomes = []
    for chain in first:
        done = _converge(chain, admin)
        report(chain, done)
        outcomes += done
    if not _has_dead_letters(plan, outcomes):
        skipped = [chain for chain in rest if _needs_dead_letters(chain)]
        rest = [chain for chain in rest if chain not in skipped]
        for chain in skipped:
            done = list(_skip(chain.changes))
            report(chain, done)
            outcomes += done
    for chain, done in _concurrently(rest, admin, workers):
        report(chain, done)
        outcomes += done
    return outcomes


def _concurrently(
    chains: Iterable[Chain], admin: PubSubAdmin, workers: int
) -> Iterator[tuple[Chain, Outcomes]]:
    executor = ThreadPoolExecutor(workers, thread_name_prefix="provision")
    try:
        futures = {executor.submit(_converge, chain, admin): chain for chain in chains}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        executor.shutdown(cancel_futures=True)  # an interrupt ends what has not begun


def _converge(chain: Chain, admin: PubSubAdmin) -> Outcomes:
    """Carry out one chain; where somebody else was there first, look and plan again."""
    outcomes: dict[Key, Outcome] = {}
    changes = chain.changes
    for pause in PAUSES:
        attempted = list(_attempt(changes, admin))
        outcomes |= {outcome.change.key: outcome for outcome in attempted}
        if not attempted or attempted[-1].status is not Status.FOUND or chain.pair is None:
            return list(outcomes.values())
        conflict = attempted[-1]
        time.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311 - nothing secret
        try:
            changes = plan_pair(chain.pair, admin.look_at(chain.pair))
        except ProvisioningError as error:
            conflict = replace(conflict, error=error)
            break
    outcomes[conflict.change.key] = replace(conflict, status=Status.FAILED)
    return list(outcomes.values())


def _attempt(changes: Iterable[Change], admin: PubSubAdmin) -> Iterator[Outcome]:
    """Make them in order, until one is found to be made, or fails and the rest builds on it."""
    remaining = iter(changes)
    for change in remaining:
        outcome = _make(change, admin)
        yield outcome
        if outcome.status is Status.FOUND and change.action is not Action.DELETE:
            return
        if outcome.status is Status.FAILED and change.action in (Action.CREATE, Action.DELETE):
            yield from _skip(remaining)


def _make(change: Change, admin: PubSubAdmin) -> Outcome:
    if change.action is Action.BLOCKED:
        return Outcome(change=change, status=Status.BLOCKED)
    try:
        admin.make(change)
    except Conflict as error:
        return Outcome(change=change, status=Status.FOUND, error=error)
    except ProvisioningError as error:
        return _failed(change, error)
    return Outcome(change=change, status=Status.DONE)


def _failed(change: Change, error: ProvisioningError | None) -> Outcome:
    return Outcome(change=change, status=Status.FAILED, error=error)


def _skip(changes: Iterable[Change]) -> Iterator[Outcome]:
    return (Outcome(change=change, status=Status.SKIPPED) for change in changes)


def _has_dead_letters(plan: Plan, outcomes: Outcomes) -> bool:
    topic = plan.dead_letters.topic.name
    return plan.has_dead_letters or any(
        outcome.is_good and outcome.change.name == topic for outcome in outcomes
    )


def _needs_dead_letters(chain: Chain) -> bool:
    """Whether it makes a subscription, or a topic for one, or changes where dead letters go."""
    return any(
        (change.action is Action.CREATE and isinstance(change.resource, Topic | Subscription))
        or any(difference.mask == "dead_letter_policy" for difference in change.differences)
        for change in chain.changes
    )
