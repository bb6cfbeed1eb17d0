"""Each way in which a project can differ from what it should be."""

from dataclasses import replace

import pytest

from asgi_tasks import TaskRoute
from asgi_tasks.provisioning import Action, Difference, Live, plan
from asgi_tasks.provisioning.planning import unread
from tests.site import tasks

from .builders import (
    AGENT,
    SUBSCRIPTIONS,
    TODAY,
    TOPICS,
    provisioned,
    wanted,
    with_subscription,
    with_topic,
    without,
)

DESIRED = wanted(TaskRoute(tasks.add), TaskRoute(tasks.fail))
LIVE = provisioned(DESIRED)
PAIR = DESIRED.routes[0]
OTHER = replace(PAIR.subscription, ack_deadline=11)
DAY = 86_400

PAUSED_LABELS = {**PAIR.subscription.labels, "asgi-tasks-paused": "2026-11-20"}
PAUSED = {"labels": PAUSED_LABELS, "endpoint": "", "service_account": "", "audience": ""}

# A field of the API, the attribute it is here, what it is by mistake, and what is shown for it.
DRIFT = [
    ("push_config.push_endpoint", {"endpoint": "https://old.example/"}, "https://old.example/"),
    ("push_config.push_endpoint", {"endpoint": ""}, None),
    ("push_config.oidc_token.service_account_email", {"service_account": "a@b"}, "a@b"),
    ("push_config.oidc_token.service_account_email", {"service_account": ""}, None),
    ("push_config.oidc_token.audience", {"audience": "other"}, "other"),
    ("push_config.no_wrapper", {"unwrapped": True}, True),
    ("ack_deadline_seconds", {"ack_deadline": 10}, 10),
    ("retry_policy.minimum_backoff", {"min_retry_delay": 0.5}, 0.5),
    ("retry_policy.minimum_backoff", {"min_retry_delay": 0.0}, 0.0),
    ("retry_policy.maximum_backoff", {"max_retry_delay": None}, None),
    ("dead_letter_policy.dead_letter_topic", {"dead_letter_topic": ""}, None),
    ("dead_letter_policy.dead_letter_topic", {"dead_letter_topic": "_deleted-topic_"},
     "_deleted-topic_"),
    ("dead_letter_policy.max_delivery_attempts", {"max_delivery_attempts": 5}, 5),
    ("message_retention_duration", {"retention": 600.0}, 600.0),
    ("expiration_policy.ttl", {"expires_after": 31.0 * DAY}, 31.0 * DAY),
]  # fmt: skip


def changes(live, desired=DESIRED, **options):
    return list(plan(desired, live, TODAY, **options))


def kinds(live, desired=DESIRED):
    return [(change.action, change.kind, change.name) for change in changes(live, desired)]


def differences(live):
    """Those of the only change there is."""
    (change,) = changes(live)
    assert change.action is Action.UPDATE
    return change.differences


class TestWhatIsMissing:
    def test_empty_project_gets_everything_in_order(self):
        create, grant = Action.CREATE, Action.GRANT
        assert kinds(Live()) == [
            (create, "topic", f"{TOPICS}-dead-letter"),
            (create, "subscription", f"{SUBSCRIPTIONS}-dead-letter-sub"),
            (grant, "grant", f"{TOPICS}-dead-letter"),
            (create, "topic", f"{TOPICS}-add"),
            (create, "subscription", f"{SUBSCRIPTIONS}-add-sub"),
            (grant, "grant", f"{SUBSCRIPTIONS}-add-sub"),
            (create, "topic", f"{TOPICS}-fail"),
            (create, "subscription", f"{SUBSCRIPTIONS}-fail-sub"),
            (grant, "grant", f"{SUBSCRIPTIONS}-fail-sub"),
        ]

    def test_provisioned_project_lacks_nothing(self):
        assert changes(LIVE) == []

    @pytest.mark.parametrize("pair", [*DESIRED], ids=lambda pair: pair.topic.name)
    def test_missing_subscription_is_created_and_granted(self, pair):
        found = kinds(without(LIVE, pair.subscription.name))
        created = (Action.CREATE, "subscription", pair.subscription.name)
        granted = (Action.GRANT, "grant", pair.subscription.name)
        assert found == ([created] if pair is DESIRED.dead_letters else [created, granted])

    def test_subscription_is_marked_until_its_grant_is_made(self):
        _, subscription, grant = changes(without(LIVE, PAIR.topic.name, PAIR.subscription.name))
        assert subscription.resource.labels["asgi-tasks-grants"] == "pending"
        assert grant.resource == PAIR.grant

    def test_topic_of_another_project_does_not_count(self):
        live = provisioned(wanted(TaskRoute(tasks.add), TaskRoute(tasks.fail), project_id="other"))
        assert kinds(live) == kinds(Live())

    def test_foreign_resources_are_left_alone(self):
        foreign = provisioned(wanted(TaskRoute(tasks.echo), environment="dev"))
        live = Live(
            topics={**LIVE.topics, **foreign.topics},
            subscriptions={**LIVE.subscriptions, **foreign.subscriptions},
            grants=LIVE.grants,
        )
        assert changes(live, prune=True, force=True) == []


class TestDrift:
    @pytest.mark.parametrize(
        ("field", "mistake", "shown"), DRIFT, ids=[f"{f}={s}" for f, _, s in DRIFT]
    )
    def test_field_is_found_and_set_right(self, field, mistake, shown):
        (name,) = mistake
        found = differences(with_subscription(LIVE, PAIR.subscription, **mistake))
        after = getattr(PAIR.subscription, name) or None
        assert found == (Difference(field=field, before=shown, after=after),)

    @pytest.mark.parametrize("field", ["ack_deadline", "retention", "expires_after", "endpoint"])
    def test_dead_letter_subscription_is_set_right(self, field):
        wrong = {
            "ack_deadline": 10,
            "retention": DAY,
            "expires_after": DAY,
            "endpoint": "https://x",
        }
        subscription = DESIRED.dead_letters.subscription
        live = with_subscription(LIVE, subscription, **{field: wrong[field]})
        (change,) = changes(live)
        assert change.resource == subscription

    def test_several_differences_are_one_update(self):
        live = with_subscription(LIVE, PAIR.subscription, ack_deadline=10, endpoint="https://x/")
        (change,) = changes(live)
        assert [one.mask for one in change.differences] == ["push_config", "ack_deadline_seconds"]

    def test_every_subscription_has_its_own_update(self):
        live = with_subscription(LIVE, PAIR.subscription, ack_deadline=10)
        live = with_subscription(live, DESIRED.routes[1].subscription, ack_deadline=10)
        assert [name for _, _, name in kinds(live)] == [
            f"{SUBSCRIPTIONS}-add-sub",
            f"{SUBSCRIPTIONS}-fail-sub",
        ]


class TestLabels:
    def test_unlabelled_resources_of_our_name_are_adopted(self):
        live = with_topic(LIVE, PAIR.topic, labels={})
        live = with_subscription(live, PAIR.subscription, labels={})
        assert [change.kind for change in changes(live)] == ["topic", "subscription"]
        for change in changes(live):
            assert change.resource.labels == PAIR.topic.labels
            assert {one.field for one in change.differences} == {
                "labels.managed-by",
                "labels.environment",
                "labels.route",
            }

    def test_foreign_labels_are_no_difference(self):
        foreign = {**PAIR.topic.labels, "team": "league"}
        live = with_topic(LIVE, PAIR.topic, labels=foreign)
        assert changes(with_subscription(live, PAIR.subscription, labels=foreign)) == []

    def test_foreign_labels_are_kept_by_an_update(self):
        live = with_subscription(LIVE, PAIR.subscription, labels={"team": "league", "route": "x"})
        (change,) = changes(live)
        assert change.resource.labels == {**PAIR.subscription.labels, "team": "league"}

    def test_route_that_returns_is_not_retired_any_more(self):
        retired = {**PAIR.subscription.labels, "asgi-tasks-retired": "2026-11-20"}
        (found,) = differences(with_subscription(LIVE, PAIR.subscription, labels=retired))
        assert found == Difference(
            field="labels.asgi-tasks-retired", before="2026-11-20", after=None
        )


class TestPaused:
    def test_paused_subscription_stays_paused(self):
        live = with_subscription(LIVE, PAIR.subscription, **PAUSED)
        assert changes(live) == []
        assert [one.name for one in plan(DESIRED, live, TODAY).paused] == [PAIR.subscription.name]

    def test_all_else_of_it_is_set_right(self):
        live = with_subscription(LIVE, PAIR.subscription, **PAUSED, ack_deadline=10)
        (change,) = changes(live)
        assert [one.field for one in change.differences] == ["ack_deadline_seconds"]
        assert (change.resource.endpoint, change.resource.labels) == ("", PAUSED_LABELS)

    def test_label_decides_where_both_are_found(self):
        live = with_subscription(LIVE, PAIR.subscription, labels=PAUSED_LABELS)
        (change,) = changes(live)
        assert {(one.mask, one.after) for one in change.differences} == {("push_config", None)}

    def test_push_config_that_was_cleared_by_hand_is_restored(self):
        live = with_subscription(LIVE, PAIR.subscription, **(PAUSED | {"labels": {}}))
        (change,) = changes(live)
        assert change.resource == PAIR.subscription


class TestGrants:
    held = frozenset(
        {("roles/viewer", "user:a@b.example"), ("roles/pubsub.subscriber", "user:a@b")}
    )

    def lacking(self, pair, held=frozenset()):
        return replace(LIVE, grants={**LIVE.grants, pair.grant.resource: held})

    def test_grant_that_the_dead_letter_topic_lacks_is_made(self):
        assert kinds(self.lacking(DESIRED.dead_letters)) == [
            (Action.GRANT, "grant", f"{TOPICS}-dead-letter")
        ]

    @pytest.mark.parametrize("found", [frozenset(), held, None], ids=["none", "others", "unknown"])
    def test_grant_that_a_subscription_lacks_is_made_after_it_was_marked(self, found):
        update, grant = changes(self.lacking(PAIR, found))
        assert update.resource.labels["asgi-tasks-grants"] == "pending"
        assert grant.resource == PAIR.grant

    def test_mightier_role_is_enough(self):
        held = frozenset({("roles/pubsub.admin", AGENT)})
        assert changes(self.lacking(PAIR, held)) == []

    def test_policy_that_was_not_read_is_not_asked_for(self):
        live = replace(LIVE, grants={DESIRED.dead_letters.grant.resource: held_by_agent()})
        assert changes(live) == []

    def test_policy_of_what_changes_is_to_be_read(self):
        live = with_subscription(replace(LIVE, grants={}), PAIR.subscription, ack_deadline=10)
        assert unread(plan(DESIRED, live, TODAY), live) == (PAIR.subscription.name,)

    def test_policy_of_what_is_created_need_not_be_read(self):
        live = without(replace(LIVE, grants={}), PAIR.subscription.name)
        assert unread(plan(DESIRED, live, TODAY), live) == ()

    def test_mark_that_was_left_has_the_policy_read(self):
        marked = {**PAIR.subscription.labels, "asgi-tasks-grants": "pending"}
        live = with_subscription(replace(LIVE, grants={}), PAIR.subscription, labels=marked)
        assert unread(plan(DESIRED, live, TODAY), live) == (PAIR.subscription.name,)

    def test_mark_that_was_left_goes_if_the_grant_is_there(self):
        marked = {**PAIR.subscription.labels, "asgi-tasks-grants": "pending"}
        (found,) = differences(with_subscription(LIVE, PAIR.subscription, labels=marked))
        assert (found.field, found.after) == ("labels.asgi-tasks-grants", None)

    def test_mark_that_was_left_stays_until_the_grant_is_made(self):
        marked = {**PAIR.subscription.labels, "asgi-tasks-grants": "pending"}
        live = with_subscription(self.lacking(PAIR), PAIR.subscription, labels=marked)
        assert [action for action, *_ in kinds(live)] == [Action.GRANT]

    def test_what_cannot_be_read_is_known_to_be_in_doubt(self):
        assert plan(DESIRED, self.lacking(PAIR, None), TODAY).unreadable == (PAIR.grant.resource,)


class TestGrantsOfOthers:
    desired = wanted(TaskRoute(tasks.add), agent=None)

    def test_nothing_is_granted(self):
        assert {action for action, *_ in kinds(Live(), self.desired)} == {Action.CREATE}

    def test_mark_stays_for_a_run_that_does_grant(self):
        (pair,) = self.desired.routes
        marked = {**pair.subscription.labels, "asgi-tasks-grants": "pending"}
        live = with_subscription(provisioned(self.desired), pair.subscription, labels=marked)
        assert changes(live, self.desired) == []


class TestBlocked:
    OBSTACLES = (
        ({"topic": "_deleted-topic_"}, "its topic was deleted"),
        (
            {"topic": "projects/gyrinx-1/topics/other"},
            "its topic is projects/gyrinx-1/topics/other",
        ),
        ({"filter": "attributes:x"}, "its filter 'attributes:x' loses messages"),
        ({"ordered": True}, "it orders messages"),
        ({"export": "bigquery_config"}, "it has a bigquery_config"),
        ({"detached": True}, "it is detached"),
    )

    @pytest.mark.parametrize(("mistake", "why"), OBSTACLES, ids=[why for _, why in OBSTACLES])
    def test_what_cannot_be_changed_is_explained(self, mistake, why):
        (change,) = changes(with_subscription(LIVE, PAIR.subscription, **mistake))
        assert change.action is Action.BLOCKED
        assert change.why.startswith(why)
        assert change.command == (
            "gcloud pubsub subscriptions delete prod-gyrinx-tasks-add-sub --project=gyrinx-1"
        )

    def test_nothing_else_of_the_pair_is_changed(self):
        live = without(LIVE, PAIR.topic.name)
        live = with_subscription(live, PAIR.subscription, topic="_deleted-topic_", ack_deadline=10)
        assert [action for action, *_ in kinds(live)] == [Action.BLOCKED]

    def test_other_pairs_are_changed(self):
        live = with_subscription(LIVE, PAIR.subscription, ordered=True)
        live = without(live, DESIRED.routes[1].subscription.name)
        assert [action for action, *_ in kinds(live)] == [
            Action.BLOCKED,
            Action.CREATE,
            Action.GRANT,
        ]


def held_by_agent():
    return frozenset({("roles/pubsub.publisher", AGENT)})
