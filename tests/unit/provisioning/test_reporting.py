"""What people and machines read."""

import json

import pytest

from asgi_tasks import TaskRoute
from asgi_tasks.exceptions import ProvisioningError
from asgi_tasks.provisioning import CallFailed, Chain, Live, Outcome, Status, plan, reporting
from tests.site import tasks

from .builders import TODAY, provisioned, wanted, with_subscription

DESIRED = wanted(TaskRoute(tasks.add))
LIVE = provisioned(DESIRED)
PAIR = DESIRED.routes[0]
NOTHING = plan(DESIRED, LIVE, TODAY)
EVERYTHING = plan(DESIRED, Live(), TODAY)


def drift(**changes):
    return plan(DESIRED, with_subscription(LIVE, PAIR.subscription, **changes), TODAY)


def failed(change, error):
    return Outcome(change=change, status=Status.FAILED, error=error)


def done(change):
    return Outcome(change=change, status=Status.DONE)


def text(lines):
    return "\n".join(lines)


def test_nothing_to_change_is_one_line():
    assert reporting.headline(DESIRED, NOTHING) == (
        "gyrinx-1, environment prod: nothing to change for 1 topic of tasks."
    )
    assert [*reporting.plan_lines(NOTHING), *reporting.note_lines(NOTHING)] == []


def test_plan_names_each_change():
    assert list(reporting.plan_lines(EVERYTHING)) == [
        "  create topic prod-gyrinx-tasks-dead-letter",
        "  create subscription prod-gyrinx-tasks-dead-letter-sub",
        "  grant roles/pubsub.publisher on prod-gyrinx-tasks-dead-letter to the service agent",
        "  create topic prod-gyrinx-tasks-add",
        "  create subscription prod-gyrinx-tasks-add-sub",
        "  grant roles/pubsub.subscriber on prod-gyrinx-tasks-add-sub to the service agent",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"ack_deadline": 60}, "ack_deadline_seconds: 60 -> 300"),
        ({"min_retry_delay": None}, "retry_policy.minimum_backoff: not set -> 10"),
        ({"expires_after": 2_678_400.0}, "expiration_policy.ttl: 2678400 -> not set"),
        ({"min_retry_delay": 0.5}, "retry_policy.minimum_backoff: 0.5 -> 10"),
    ],
)
def test_difference_shows_before_and_after(changes, line):
    assert list(reporting.plan_lines(drift(**changes))) == [
        "  update subscription prod-gyrinx-tasks-add-sub",
        f"      {line}",
    ]


def test_blocked_change_says_why_and_what_it_costs():
    first, second = reporting.plan_lines(drift(ordered=True))
    assert first.startswith("  blocked subscription prod-gyrinx-tasks-add-sub: it orders messages")
    assert "messages are lost" in second
    assert "gcloud pubsub subscriptions delete" in second


def test_pause_is_mentioned():
    labels = {**PAIR.subscription.labels, "asgi-tasks-paused": "2026-11-20"}
    assert "paused since 2026-11-20: prod-gyrinx-tasks-add-sub" in reporting.note_lines(
        drift(labels=labels)
    )


@pytest.mark.parametrize(
    ("number", "bar"), [(0, f"[{'-' * 30}] 0/3"), (1, f"[{'#' * 10}{'-' * 20}] 1/3")]
)
def test_progress_bar_shows_how_far_it_is(number, bar):
    assert reporting.progress_bar(number, 3) == bar


def test_line_of_a_chain_tells_what_was_not_done():
    changes = EVERYTHING.chains[1].changes
    outcomes = [done(changes[0]), failed(changes[1], None)]
    chain = Chain(name=PAIR.topic.name, pair=PAIR, changes=changes)
    assert reporting.chain_line(chain, outcomes) == (
        "prod-gyrinx-tasks-add: create topic, create subscription (failed)"
    )


class TestSummary:
    error = CallFailed("Could not", missing="pubsub.topics.create", commands=["gcloud help"])

    def test_failures_of_one_reason_are_told_together(self):
        changes = list(EVERYTHING)
        summary = text(reporting.summary_lines([failed(one, self.error) for one in changes]))
        assert summary.count("pubsub.topics.create") == summary.count("gcloud help") == 1
        assert "6 of 6 changes not made: 6 failed." in summary
        assert "and 1 more" in summary

    def test_failures_of_several_reasons_are_told_apart(self):
        first, second, *_ = EVERYTHING
        outcomes = [failed(first, self.error), failed(second, ProvisioningError("a quota"))]
        summary = text(reporting.summary_lines(outcomes))
        assert "pubsub.topics.create" in summary
        assert "a quota" in summary

    def test_lone_topic_is_warned_of(self):
        topic, subscription, grant = EVERYTHING.chains[1].changes
        outcomes = [done(topic), failed(subscription, self.error), Outcome(
            change=grant, status=Status.SKIPPED)]  # fmt: skip
        summary = text(reporting.summary_lines(outcomes))
        assert "prod-gyrinx-tasks-add has no subscription yet" in summary
        assert "Skipped" in summary

    def test_topic_with_its_subscription_is_not_warned_of(self):
        topic, subscription, grant = EVERYTHING.chains[1].changes
        outcomes = [done(topic), done(subscription), failed(grant, self.error)]
        assert "has no subscription" not in text(reporting.summary_lines(outcomes))


class TestJson:
    def test_plan_is_json(self):
        (change,) = json.loads(json.dumps(reporting.as_json(DESIRED, drift(ack_deadline=60))))[
            "changes"
        ]
        assert change == {
            "action": "update",
            "kind": "subscription",
            "name": PAIR.subscription.name,
            "outcome": None,
            "differences": [{"field": "ack_deadline_seconds", "before": 60, "after": 300}],
        }

    def test_outcome_is_told_with_its_error(self):
        error = CallFailed("Could not", missing="x.y", commands=["gcloud help"])
        outcomes = [failed(change, error) for change in EVERYTHING]
        first = reporting.as_json(DESIRED, EVERYTHING, outcomes)["changes"][0]
        assert (first["outcome"], first["error"]) == ("failed", "Could not")
        assert (first["missing"], first["commands"]) == ("x.y", ["gcloud help"])

    def test_what_was_planned_anew_is_told_too(self):
        document = reporting.as_json(DESIRED, NOTHING, [done(change) for change in EVERYTHING])
        assert {change["outcome"] for change in document["changes"]} == {"done"}
