"""What bears our labels and has no route any more."""

from dataclasses import replace
from datetime import timedelta

import pytest

from asgi_tasks import TaskRoute
from asgi_tasks.provisioning import Action, Subscription, plan
from tests.site import tasks

from .builders import (
    SUBSCRIPTIONS,
    TODAY,
    TOPICS,
    provisioned,
    wanted,
    with_subscription,
    with_topic,
    without,
)

BEFORE = wanted(TaskRoute(tasks.add), TaskRoute(tasks.fail))
AFTER = wanted(TaskRoute(tasks.add))
GONE = BEFORE.routes[1]
LIVE = provisioned(BEFORE)


def retired(days, live=LIVE):
    """The project, in which the subscription was retired so many days ago."""
    since = (TODAY - timedelta(days=days)).isoformat()
    labels = {**GONE.subscription.labels, "asgi-tasks-retired": since}
    return with_subscription(live, GONE.subscription, labels=labels)


def pruned(live, desired=AFTER, **options):
    found = plan(desired, live, TODAY, prune=True, **options)
    return [(change.action, change.name) for change in found]


BOTH = [(Action.DELETE, GONE.subscription.name), (Action.DELETE, GONE.topic.name)]


def test_leftover_is_only_mentioned_unless_asked():
    found = plan(AFTER, LIVE, TODAY)
    assert list(found) == []
    assert [one.name for one in found.leftovers] == [GONE.subscription.name, GONE.topic.name]


def test_subscription_is_retired_first_with_the_date():
    (change,) = plan(AFTER, LIVE, TODAY, prune=True)
    assert (change.action, change.name) == (Action.RETIRE, GONE.subscription.name)
    assert change.resource.labels == {
        **GONE.subscription.labels,
        "asgi-tasks-retired": "2026-11-22",
    }


@pytest.mark.parametrize(
    "undelivered",
    [{"labels": GONE.subscription.labels | {"asgi-tasks-paused": "2026-11-01"}}, {"endpoint": ""}],
    ids=["paused", "pulled"],
)
def test_subscription_that_delivers_nothing_is_kept(undelivered):
    live = with_subscription(LIVE, GONE.subscription, **undelivered)
    assert pruned(live) == []
    assert "nothing is delivered" in plan(AFTER, live, TODAY, prune=True).leftovers[0].why
    assert pruned(live, force=True) == BOTH


def test_subscription_that_was_paused_after_it_was_retired_is_kept():
    live = retired(30)
    (found,) = [one for name, one in live.subscriptions.items() if name == GONE.subscription.name]
    labels = {**found.labels, "asgi-tasks-paused": "2026-11-01"}
    assert pruned(with_subscription(live, found, labels=labels)) == []


@pytest.mark.parametrize("days", [0, 1, 6, -1])
def test_retired_subscription_waits_a_week(days):
    assert pruned(retired(days)) == []


@pytest.mark.parametrize("days", [7, 8, 400])
def test_subscription_and_then_its_topic_are_deleted_a_week_later(days):
    assert pruned(retired(days)) == BOTH


@pytest.mark.parametrize("live", [LIVE, retired(0)], ids=["new", "retired today"])
def test_force_deletes_at_once(live):
    assert pruned(live, force=True) == BOTH


def test_waiting_subscription_is_mentioned_with_its_day():
    found = plan(AFTER, retired(3), TODAY, prune=True)
    assert {one.why for one in found.leftovers} == {
        "retired on 2026-11-19, --prune deletes it from 2026-11-26 on"
    }


def test_date_that_cannot_be_read_starts_anew():
    labels = {**GONE.subscription.labels, "asgi-tasks-retired": "soon"}
    live = with_subscription(LIVE, GONE.subscription, labels=labels)
    assert pruned(live) == [(Action.RETIRE, GONE.subscription.name)]


def test_topic_that_was_left_alone_is_deleted():
    assert pruned(without(LIVE, GONE.subscription.name)) == [(Action.DELETE, GONE.topic.name)]


def test_subscription_whose_topic_is_gone_is_retired():
    live = with_subscription(
        without(LIVE, GONE.topic.name), GONE.subscription, topic="_deleted-topic_"
    )
    assert pruned(live) == [(Action.RETIRE, GONE.subscription.name)]


def test_topic_with_a_subscription_of_others_is_kept():
    audit = Subscription(name="projects/gyrinx-1/subscriptions/audit", topic=GONE.topic.name)
    live = with_subscription(retired(7), audit)
    assert pruned(live) == BOTH[:1]
    (leftover,) = plan(AFTER, live, TODAY, prune=True).leftovers
    assert leftover.why == "kept for projects/gyrinx-1/subscriptions/audit"


def test_alias_that_was_dropped_is_a_leftover():
    before = wanted(TaskRoute(tasks.add, aliases=["sum"]))
    assert pruned(provisioned(before)) == [(Action.RETIRE, f"{SUBSCRIPTIONS}-sum-sub")]


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"managed-by": "terraform"},
        {"environment": "staging"},
        {"route": "other"},
    ],
    ids=["none", "another manager", "another environment", "another route"],
)
def test_what_does_not_bear_our_labels_is_not_ours(labels):
    labels = {**GONE.topic.labels, **labels} if labels else {}
    live = with_topic(LIVE, GONE.topic, labels=labels)
    live = with_subscription(live, GONE.subscription, labels=labels)
    assert pruned(live, force=True) == []
    assert plan(AFTER, live, TODAY).leftovers == ()


def test_site_whose_prefix_continues_ours_is_not_ours():
    theirs = provisioned(wanted(TaskRoute(tasks.echo), topic_prefix="gyrinx-tasks-eu"))
    ours = provisioned(AFTER)
    live = replace(
        ours,
        topics={**ours.topics, **theirs.topics},
        subscriptions={**ours.subscriptions, **theirs.subscriptions},
    )
    assert f"{TOPICS}-eu-echo" in live.topics
    assert pruned(live, force=True) == []
