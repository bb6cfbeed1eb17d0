"""When a message is forwarded, what it then looks like, and who must have allowed it."""

import pytest

from asgi_tasks.emulator.broker.model import DeadLetterPolicy, State, Topic
from tests.unit.emulator.scene import DEAD, DEAD_SUB, SUB, Scene

POLICY = DeadLetterPolicy(topic=DEAD, max_delivery_attempts=5)


@pytest.fixture
def lettered(scene):
    scene.subscribe(dead_letter=POLICY)
    return scene


@pytest.fixture
def guarded():
    """As with --enforce-iam."""
    scene = Scene(enforce_iam=True)
    scene.subscribe(dead_letter=POLICY)
    return scene


def fail(scene, times):
    return [scene.nack_next() for _ in range(times)]


def test_message_is_forwarded_after_its_last_attempt(lettered):
    lettered.publish()
    fail(lettered, 4)
    assert lettered.states() == ["waiting"]
    fail(lettered, 1)
    assert lettered.states() == ["dead_lettered"]
    assert lettered.states(DEAD_SUB) == ["waiting"]
    assert lettered.queue.totals[State.DEAD_LETTERED] == 1


def test_message_acknowledged_at_its_last_attempt_is_not_forwarded(lettered):
    lettered.publish()
    fail(lettered, 4)
    lettered.acknowledge(*lettered.lease())
    assert lettered.states() == ["acknowledged"]
    assert lettered.states(DEAD_SUB) == []


def test_dead_letter_is_the_message_with_four_attributes_more(lettered):
    original = lettered.publish(b"poison", key="k", colour="blue")
    lettered.wait(1.5)
    fail(lettered, 5)
    [lease] = lettered.lease(name=DEAD_SUB)
    assert lease.message.message_id != original
    assert lease.message.published_at == 1_001.5
    assert (lease.message.data, lease.message.ordering_key) == (b"poison", "k")
    assert lease.message.attributes == {
        "colour": "blue",
        "CloudPubSubDeadLetterSourceSubscription": "tasks-sub",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "1970-01-01T00:16:40.000+00:00",
    }


def test_dead_letter_counts_its_own_attempts(lettered):
    lettered.publish()
    fail(lettered, 5)
    assert [lease.attempt for lease in lettered.lease(name=DEAD_SUB)] == [1]


def test_leases_that_ran_out_lead_to_the_dead_letters_too(lettered):
    lettered.publish()
    for _ in range(5):
        lettered.lease(seconds=10)
        lettered.wait(10)
    assert lettered.states() == ["dead_lettered"]
    assert lettered.states(DEAD_SUB) == ["waiting"]


def test_message_without_a_policy_is_retried_for_ever(scene):
    scene.subscribe()
    scene.publish()
    fail(scene, 150)
    assert scene.states() == ["waiting"]


def test_dead_letter_topic_without_a_subscription_loses_them(lettered):
    lettered.broker.delete_subscription(DEAD_SUB)
    lettered.publish()
    fail(lettered, 5)
    assert lettered.states() == ["dead_lettered"]
    assert len(lettered.broker.entries()) == 1


def test_message_whose_dead_letter_topic_is_gone_is_kept(lettered):
    lettered.publish()
    lettered.broker.delete_topic(DEAD)
    fail(lettered, 8)
    assert lettered.states() == ["waiting"]


def test_kept_message_is_forwarded_once_its_dead_letter_topic_is_back(lettered):
    lettered.publish()
    lettered.broker.delete_topic(DEAD)
    fail(lettered, 8)
    lettered.broker.create_topic(Topic(name=DEAD))
    fail(lettered, 1)
    assert lettered.states() == ["dead_lettered"]


@pytest.mark.parametrize("policy", [None, POLICY])
def test_attempt_and_reported_attempt_of_each_delivery(scene, policy):
    scene.subscribe(dead_letter=policy)
    scene.publish()
    leases = fail(scene, 3)
    assert [lease.attempt for lease in leases] == [1, 2, 3]
    assert [lease.counted for lease in leases] == ([1, 2, 3] if policy else [1, 1, 1])


# With --enforce-iam


@pytest.mark.parametrize("granted", [(), (SUB,), (DEAD,)])
def test_message_without_both_grants_is_redelivered_for_ever(guarded, granted):
    guarded.grant(*granted)
    guarded.publish()
    leases = fail(guarded, 20)
    assert guarded.states() == ["waiting"]
    assert {lease.counted for lease in leases} == {1}
    [entry] = guarded.broker.entries()
    assert (entry.attempts, entry.counted) == (20, 0)


def test_message_with_both_grants_is_forwarded(guarded):
    guarded.grant(SUB, DEAD)
    guarded.publish()
    fail(guarded, 5)
    assert guarded.states() == ["dead_lettered"]


def test_attempts_count_from_the_grants_on(guarded):
    guarded.publish()
    fail(guarded, 8)
    guarded.grant(SUB, DEAD)
    leases = fail(guarded, 4)
    assert guarded.states() == ["waiting"]
    assert [lease.counted for lease in leases] == [1, 2, 3, 4]
    fail(guarded, 1)
    assert guarded.states() == ["dead_lettered"]


def test_dead_letter_tells_the_attempts_that_counted(guarded):
    guarded.publish()
    fail(guarded, 3)
    guarded.grant(SUB, DEAD)
    fail(guarded, 5)
    [lease] = guarded.lease(name=DEAD_SUB)
    assert lease.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"


def test_grant_taken_away_ends_the_forwarding(guarded):
    guarded.grant(SUB, DEAD)
    guarded.publish()
    fail(guarded, 4)
    [lease] = guarded.lease()
    guarded.broker.policies.set(DEAD, [])
    guarded.nack(lease)
    assert guarded.states() == ["waiting"]


def test_dead_letter_topic_created_again_needs_its_grant_again(guarded):
    guarded.grant(SUB, DEAD)
    guarded.publish()
    guarded.broker.delete_topic(DEAD)
    guarded.broker.create_topic(Topic(name=DEAD))
    fail(guarded, 8)
    assert guarded.states() == ["waiting"]


def test_grants_are_not_asked_for_when_iam_is_not_enforced(lettered):
    lettered.publish()
    fail(lettered, 5)
    assert lettered.states() == ["dead_lettered"]
