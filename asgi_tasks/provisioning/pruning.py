"""What bears our labels and has no route any more: pure.

The API tells no backlog, so a subscription is first retired, by a label with the date, and
deleted a week later, its topic after it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from . import labels
from .changes import Action, Chain, Change, Leftover
from .drift import is_paused, label_differences
from .resources import Desired, Labels, Live, Subscription, Topic, short

GRACE: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Orphan:
    """A topic, its subscription, or both, as far as they are ours."""

    topic_name: str
    topic: Topic | None
    subscription: Subscription | None


def prune_chains(desired: Desired, live: Live, today: date, *, force: bool) -> Iterator[Chain]:
    """What to retire and to delete."""
    for orphan in _orphans(desired, live):
        changes = tuple(_changes(orphan, live, today, force=force))
        if changes:
            yield Chain(name=orphan.topic_name, pair=None, changes=changes)


def waiting(desired: Desired, live: Live, pruned: Iterable[Chain]) -> Iterator[Leftover]:
    """What is left over and stays for now, each with the reason."""
    changed = {change.name for chain in pruned for change in chain.changes}
    for orphan in _orphans(desired, live):
        for resource in (orphan.subscription, orphan.topic):
            if resource and resource.name not in changed:
                yield _leftover(resource, orphan, live)


def _changes(orphan: _Orphan, live: Live, today: date, *, force: bool) -> Iterator[Change]:
    subscription = orphan.subscription
    if subscription and not force and _keeps(subscription):
        return
    if subscription and not force and not _is_over(subscription, today):
        if labels.retired_on(subscription.labels) is None:
            yield _retire(subscription, today)
        return
    if subscription:
        yield Change(action=Action.DELETE, resource=subscription)
    if orphan.topic and not _others(orphan, live):
        yield Change(action=Action.DELETE, resource=orphan.topic)


def _retire(subscription: Subscription, today: date) -> Change:
    marked = {**subscription.labels, labels.RETIRED: today.isoformat()}
    return Change(
        action=Action.RETIRE,
        resource=replace(subscription, labels=marked),
        differences=tuple(label_differences(subscription.labels, marked)),
    )


def _keeps(subscription: Subscription) -> bool:
    """Nothing is delivered from it, so waiting a week would empty nothing."""
    return is_paused(subscription) or not subscription.endpoint


def _is_over(subscription: Subscription, today: date) -> bool:
    since = labels.retired_on(subscription.labels)
    return since is not None and today - since >= GRACE


def _others(orphan: _Orphan, live: Live) -> list[str]:
    """The subscriptions of a topic that are somebody else's."""
    ours = orphan.subscription and orphan.subscription.name
    every = live.subscriptions.values()
    return [one.name for one in every if one.topic == orphan.topic_name and one.name != ours]


def _leftover(resource: Topic | Subscription, orphan: _Orphan, live: Live) -> Leftover:
    since = labels.retired_on(orphan.subscription.labels) if orphan.subscription else None
    others = _others(orphan, live) if isinstance(resource, Topic) else ()
    if others:
        why = f"kept for {others[0]}"
    elif orphan.subscription and _keeps(orphan.subscription):
        why = "nothing is delivered from it: give it its route back, or --prune --force deletes it"
    elif since:
        why = f"retired on {since}, --prune deletes it from {since + GRACE} on"
    else:
        why = "no route needs it, --prune retires it and deletes it a week later"
    return Leftover(name=resource.name, why=why, retired=since)


def _orphans(desired: Desired, live: Live) -> Iterator[_Orphan]:
    wanted = {pair.topic.name for pair in desired}
    topics = {name: topic for name, topic in live.topics.items() if _is_ours(topic, desired)}
    subscriptions = {
        f"{desired.project}/topics/{short(name).removesuffix('-sub')}": subscription
        for name, subscription in live.subscriptions.items()
        if name.endswith("-sub") and _is_ours(subscription, desired)
    }
    for name in sorted((topics.keys() | subscriptions.keys()) - wanted):
        yield _Orphan(topic_name=name, topic=topics.get(name), subscription=subscriptions.get(name))


def _is_ours(resource: Topic | Subscription, desired: Desired) -> bool:
    """By its labels and by its name: the prefix alone could be another site's tasks-eu."""
    kind = "topics" if isinstance(resource, Topic) else "subscriptions"
    start = f"{desired.project}/{kind}/{desired.prefix}"
    if not resource.name.startswith(start):
        return False
    slug = resource.name.removeprefix(start)
    if kind == "subscriptions":
        slug = slug.removesuffix("-sub")
    return _identity(resource.labels) == labels.identity(desired.environment, slug)


def _identity(found: Labels) -> dict[str, str | None]:
    return {name: found.get(name) for name in (labels.MANAGED_BY, labels.ENVIRONMENT, labels.ROUTE)}
