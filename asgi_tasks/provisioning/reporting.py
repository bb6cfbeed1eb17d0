"""What people and machines read: the plan, what became of it, and what to do about it: pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from . import labels
from .applying import Outcome, Outcomes, Status
from .changes import Action, Chain, Change, Difference, Plan
from .problems import CallFailed
from .resources import Desired, Grant, Topic, kind, short

NAMES_SHOWN: Final = 5  # of what failed for one reason
BAR: Final = 30  # characters
UNREADABLE: Final = (
    "Whether the service agent has its grants is not known, for lack of {}.getIamPolicy "
    "(roles/pubsub.admin). Leave them unchecked with --no-grants."
)
NO_GRANTS: Final = (
    "With the grant on the project, run provision_tasks with --no-grants from now on: it sees "
    "grants on topics and subscriptions only."
)


def headline(desired: Desired, plan: Plan) -> str:
    """What the plan comes to, in a line."""
    where = f"{desired.project.removeprefix('projects/')}, environment {desired.environment}"
    if not len(plan):
        return f"{where}: nothing to change for {count(len(desired.routes), 'topic')} of tasks."
    return f"{where}: {count(len(plan), 'change')}."


def count(number: int, noun: str) -> str:
    """1 change, 2 changes"""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def plan_lines(plan: Plan) -> Iterator[str]:
    """The changes, in the order they are made."""
    for change in plan:
        yield f"  {_sentence(change)}"
        yield from (f"      {_difference(one)}" for one in change.differences)
        if change.action is Action.BLOCKED:
            yield f"      Its messages are lost if you delete it: {change.command}"


def note_lines(plan: Plan) -> Iterator[str]:
    """What is as it should be, but worth a word."""
    for subscription in plan.paused:
        since = subscription.labels[labels.PAUSED]
        yield f"paused since {since}: {short(subscription.name)}"
    for leftover in plan.leftovers:
        yield f"left over: {short(leftover.name)} ({leftover.why})"


def unreadable(plan: Plan) -> str:
    """Why --check cannot tell."""
    kinds = {kind(name) for name in plan.unreadable}
    return UNREADABLE.format(" and ".join(f"pubsub.{each}" for each in sorted(kinds)))


def progress_bar(done: int, total: int) -> str:
    """[##########--------------------] 67/201"""
    filled = BAR * done // total
    return f"[{'#' * filled}{'-' * (BAR - filled)}] {done}/{total}"


def chain_line(chain: Chain, outcomes: Outcomes) -> str:
    """prod-gyrinx-tasks-add: create topic, create subscription, grant"""
    told = []
    for outcome in outcomes:
        state = "" if outcome.status is Status.DONE else f" ({outcome.status})"
        told.append(f"{_verb(outcome.change)}{state}")
    return f"{short(chain.name)}: {', '.join(told)}"


def summary_lines(outcomes: Outcomes) -> Iterator[str]:
    """What failed, grouped by the reason, and the commands that help."""
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    counts = Counter(outcome.status for outcome in bad)
    told = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    yield f"{len(bad)} of {count(len(outcomes), 'change')} not made: {told}."
    groups = defaultdict(list)
    for outcome in bad:
        groups[_reason(outcome)].append(outcome)
    for found in groups.values():
        yield ""
        yield from _group_lines(found)
    yield from _warning_lines(outcomes)


def failure_lines(error: Exception) -> Iterator[str]:
    """One failure: its message, what is missing, and the commands that help."""
    yield str(error)
    if isinstance(error, CallFailed):
        if error.missing:
            yield f"    Missing: {error.missing}"
        yield from (f"    {command}" for command in error.commands)


def as_json(desired: Desired, plan: Plan, outcomes: Iterable[Outcome] = ()) -> dict[str, Any]:
    """The plan, and what became of each change if it was carried out."""
    made = {outcome.change.key: outcome for outcome in outcomes}
    # What was planned anew, after a conflict, comes last.
    changes = {change.key: change for change in plan} | {
        key: outcome.change for key, outcome in made.items()
    }
    return {
        "project": desired.project.removeprefix("projects/"),
        "environment": desired.environment,
        "changes": [_change_json(change, made.get(key)) for key, change in changes.items()],
        "paused": [subscription.name for subscription in plan.paused],
        "leftovers": [{"name": one.name, "why": one.why} for one in plan.leftovers],
    }


def _sentence(change: Change) -> str:
    resource = change.resource
    if isinstance(resource, Grant):
        return f"grant {resource.role} on {short(resource.resource)} to the service agent"
    why = f": {change.why}" if change.why else ""
    return f"{change.action} {change.kind} {short(resource.name)}{why}"


def _verb(change: Change) -> str:
    grants = isinstance(change.resource, Grant)
    return str(change.action) if grants else f"{change.action} {change.kind}"


def _difference(difference: Difference) -> str:
    return f"{difference.field}: {_shown(difference.before)} -> {_shown(difference.after)}"


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _reason(outcome: Outcome) -> tuple[str, ...]:
    """What failures have in common that one command ends."""
    error, change = outcome.error, outcome.change
    if isinstance(error, CallFailed) and error.missing:
        return (error.missing, *error.commands)
    return (outcome.status, str(error or change.why))


def _group_lines(outcomes: Outcomes) -> Iterator[str]:
    first = outcomes[0]
    match first.status:
        case Status.BLOCKED:
            yield f"Pub/Sub cannot change {short(first.change.name)} in place: {first.change.why}."
        case Status.SKIPPED:
            yield "Skipped, as they build on what failed:"
        case _:
            yield str(first.error)
    yield from _name_lines(outcomes)
    yield from _help_lines(first)


def _name_lines(outcomes: Outcomes) -> Iterator[str]:
    if len(outcomes) == 1 and outcomes[0].status is not Status.SKIPPED:
        return
    yield from (f"    {_sentence(outcome.change)}" for outcome in outcomes[:NAMES_SHOWN])
    if len(outcomes) > NAMES_SHOWN:
        yield f"    and {len(outcomes) - NAMES_SHOWN} more"


def _help_lines(outcome: Outcome) -> Iterator[str]:
    error, change = outcome.error, outcome.change
    if isinstance(error, CallFailed) and error.missing:
        missing = error.missing
        who = "Give this to somebody who may" if change.action is Action.GRANT else "Mend it with"
        yield f"  Missing: {missing}. {who}:"
    if change.action is Action.BLOCKED:
        yield "  When no message of it is needed any more, delete it and run provision_tasks again:"
        yield f"    {change.command}"
    if isinstance(error, CallFailed):
        yield from (f"    {command}" for command in error.commands)
        if any("gcloud projects" in c for c in error.commands) and change.action is Action.GRANT:
            yield f"  {NO_GRANTS}"


def _warning_lines(outcomes: Outcomes) -> Iterator[str]:
    """A topic that was made and has no subscription loses what is published to it."""
    lone = {
        outcome.change.name
        for outcome in outcomes
        if outcome.is_good
        and outcome.change.action is Action.CREATE
        and isinstance(outcome.change.resource, Topic)
    }
    for outcome in outcomes:
        topic = getattr(outcome.change.resource, "topic", None)
        if topic in lone and not outcome.is_good and outcome.change.action is Action.CREATE:
            yield ""
            yield f"{short(topic)} has no subscription yet: what is published to it now is lost."


def _change_json(change: Change, outcome: Outcome | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "action": str(change.action),
        "kind": change.kind,
        "name": change.name,
        "outcome": str(outcome.status) if outcome else None,
    }
    if isinstance(change.resource, Grant):
        found |= {"role": change.resource.role, "member": change.resource.member}
    if change.differences:
        found["differences"] = [
            {"field": one.field, "before": one.before, "after": one.after}
            for one in change.differences
        ]
    if change.why:
        found |= {"why": change.why, "commands": [change.command]}
    if outcome and outcome.error and not outcome.is_good:
        found |= error_json(outcome.error)
    return found


def error_json(error: Exception) -> dict[str, Any]:
    """What failed, for machines."""
    found: dict[str, Any] = {"error": str(error)}
    if isinstance(error, CallFailed):
        found |= {"missing": error.missing or None, "commands": list(error.commands)}
    return found
