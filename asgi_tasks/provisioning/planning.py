"""plan(desired, live, today): what to change, by what should be and what is: pure."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Final

from . import labels
from .changes import Action, Chain, Change, Plan
from .drift import differences, is_paused, label_differences, obstacle, remedy, unpushed
from .pruning import prune_chains, waiting
from .resources import Desired, Live, Pair, Subscription

# Roles that allow what ours do, and more.
MIGHTIER: Final = ("roles/pubsub.editor", "roles/pubsub.admin", "roles/editor", "roles/owner")


def plan(
    desired: Desired, live: Live, today: date, *, prune: bool = False, force: bool = False
) -> Plan:
    """What to change.

    The grants of an existing subscription count only if its policy was read: see unread().
    """
    chains = (
        Chain(name=pair.topic.name, pair=pair, changes=plan_pair(pair, live)) for pair in desired
    )
    pruned = tuple(prune_chains(desired, live, today, force=force)) if prune else ()
    return Plan(
        chains=tuple(chain for chain in (*chains, *pruned) if chain.changes),
        dead_letters=desired.dead_letters,
        has_dead_letters=desired.dead_letters.topic.name in live.topics,
        leftovers=tuple(waiting(desired, live, pruned)),
        paused=tuple(_paused(desired, live)),
        unreadable=tuple(name for name, held in live.grants.items() if held is None),
    )


def plan_pair(pair: Pair, live: Live) -> tuple[Change, ...]:
    """What to change of one topic and its subscription, in this order."""
    existing = live.subscriptions.get(pair.subscription.name)
    why = obstacle(pair, existing) if existing else None
    if existing and why:
        return (Change(action=Action.BLOCKED, resource=existing, why=why, command=remedy(pair)),)
    return (*_topic_changes(pair, live), *_subscription_changes(pair, live), *_grants(pair, live))


def unread(plan: Plan, live: Live) -> tuple[str, ...]:
    """The subscriptions that will change and whose policy is still to be read."""
    return tuple(
        chain.pair.grant.resource
        for chain in plan.chains
        if chain.pair
        and chain.pair.grant
        and chain.pair.grant.resource in live.subscriptions
        and chain.pair.grant.resource not in live.grants
    )


def _topic_changes(pair: Pair, live: Live) -> Iterator[Change]:
    existing = live.topics.get(pair.topic.name)
    if existing is None:
        yield Change(action=Action.CREATE, resource=pair.topic)
        return
    wanted = replace(pair.topic, labels=labels.merged(existing.labels, pair.topic.labels))
    found = tuple(label_differences(existing.labels, wanted.labels))
    if found:
        yield Change(action=Action.UPDATE, resource=wanted, differences=found)


def _subscription_changes(pair: Pair, live: Live) -> Iterator[Change]:
    existing = live.subscriptions.get(pair.subscription.name)
    if existing is None:
        yield Change(action=Action.CREATE, resource=_until_granted(pair.subscription))
        return
    wanted = _aim(pair, existing)
    if _lacks_grant(pair, live) or (not pair.grant and labels.GRANTS in existing.labels):
        wanted = _until_granted(wanted)
    found = tuple(differences(existing, wanted))
    if found:
        yield Change(action=Action.UPDATE, resource=wanted, differences=found)


def _aim(pair: Pair, existing: Subscription) -> Subscription:
    """As it should be, but for a pause and for the labels of others."""
    merged = labels.merged(existing.labels, pair.subscription.labels)
    wanted = replace(pair.subscription, labels=merged)
    return unpushed(wanted) if is_paused(existing) else wanted


def _grants(pair: Pair, live: Live) -> Iterator[Change]:
    if pair.grant is None or not _lacks_grant(pair, live):
        return
    yield Change(action=Action.GRANT, resource=pair.grant)


def _lacks_grant(pair: Pair, live: Live) -> bool:
    if pair.grant is None:
        return False
    name = pair.grant.resource
    if name not in live.topics and name not in live.subscriptions:
        return True
    if name not in live.grants:
        return False
    held = {role for role, member in live.grants[name] or () if member == pair.grant.member}
    return not held & {pair.grant.role, *MIGHTIER}


def _until_granted(subscription: Subscription) -> Subscription:
    """Marked, so that whoever stops halfway leaves a trace that the next run sees."""
    if not subscription.dead_letter_topic:
        return subscription
    return replace(subscription, labels={**subscription.labels, **labels.PENDING})


def _paused(desired: Desired, live: Live) -> Iterator[Subscription]:
    for pair in desired.routes:
        existing = live.subscriptions.get(pair.subscription.name)
        if existing and is_paused(existing):
            yield existing
