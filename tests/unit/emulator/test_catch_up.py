"""What time brings by itself, who hears of changes, and starting afresh."""

import pytest

from asgi_tasks.emulator.broker.iam import Policy
from asgi_tasks.emulator.broker.model import DAY, DeadLetterPolicy, Topic
from asgi_tasks.emulator.errors import NotFound
from tests.unit.emulator.scene import DEAD, DEAD_SUB, OTHER_SUB, PUSHED, SUB, TOPIC

YEAR = 365 * DAY


# Idle subscriptions


def test_idle_subscription_is_deleted_with_its_messages_and_policy(scene):
    scene.subscribe(idle_ttl=DAY)
    scene.publish()
    scene.grant(SUB)
    scene.wait(DAY)
    scene.broker.catch_up()
    assert [one.name for one in scene.broker.subscriptions()] == [DEAD_SUB]
    assert scene.broker.entries() == []
    assert scene.broker.policies.get(SUB) == Policy()
    assert scene.broker.next_wake() is None


def test_subscription_that_is_not_idle_long_enough_stays(scene):
    scene.subscribe(idle_ttl=DAY)
    scene.wait(DAY - 1)
    scene.broker.catch_up()
    assert scene.broker.subscription(SUB)


def test_subscription_without_a_ttl_is_never_deleted(scene):
    scene.subscribe(idle_ttl=None)
    scene.wait(100 * YEAR)
    scene.broker.catch_up()
    assert scene.broker.subscription(SUB)


def acknowledge_a_push(scene):
    scene.acknowledge(*scene.push())


def fail_a_push(scene):
    scene.nack(*scene.push())


def update(scene):
    scene.broker.replace_subscription(scene.broker.subscription(SUB))


def publish(scene):
    scene.publish()


@pytest.mark.parametrize(
    ("call", "used"),
    [
        (acknowledge_a_push, True),
        (update, True),
        (fail_a_push, False),
        (publish, False),
    ],
)
def test_pushed_subscription_is_used_by(scene, call, used):
    scene.subscribe(idle_ttl=DAY, push=PUSHED)
    scene.publish()
    scene.wait(DAY - 1)
    call(scene)
    assert scene.queue.used_at == (scene.clock.now if used else 1_000)


def test_pull_that_finds_nothing_is_use(scene):
    scene.subscribe(idle_ttl=DAY)
    scene.wait(DAY - 1)
    assert scene.lease() == []
    scene.wait(DAY - 1)
    scene.broker.catch_up()
    assert scene.broker.subscription(SUB)


# Time and its announcements


@pytest.mark.parametrize(
    "call",
    [
        lambda scene: scene.broker.catch_up(),
        lambda scene: scene.broker.publish(TOPIC, []),
        lambda scene: scene.subscribe(OTHER_SUB),
        lambda scene: scene.broker.replace_subscription(scene.broker.subscription(DEAD_SUB)),
        lambda scene: scene.broker.delete_subscription(DEAD_SUB),
        lambda scene: scene.broker.delete_topic(DEAD),
        lambda scene: scene.lease(name=DEAD_SUB),
        lambda scene: scene.broker.due_pushes(),
        lambda scene: scene.broker.extend(DEAD_SUB, "1-1", 10),
        lambda scene: scene.broker.let_expire(DEAD_SUB, "1-1"),
        lambda scene: scene.broker.acknowledge(DEAD_SUB, "1-1"),
        lambda scene: scene.broker.nack(DEAD_SUB, "1-1"),
        lambda scene: scene.broker.make_due(DEAD_SUB),
    ],
)
def test_every_call_first_does_what_time_has_brought(scene, call):
    scene.subscribe(idle_ttl=DAY)
    scene.wait(DAY)
    call(scene)
    with pytest.raises(NotFound):
        scene.broker.queue(SUB)


def test_dead_letter_that_was_due_precedes_the_deletion_of_its_topic(scene):
    scene.subscribe(dead_letter=DeadLetterPolicy(topic=DEAD, max_delivery_attempts=1))
    scene.publish()
    scene.lease(seconds=10)
    scene.wait(10)
    scene.broker.delete_topic(DEAD)
    assert scene.states() == ["dead_lettered"]


def test_lease_that_ended_before_its_message_expired_in_the_same_leap_counts(scene):
    policy = DeadLetterPolicy(topic=DEAD, max_delivery_attempts=1)
    scene.subscribe(dead_letter=policy, retention=600)
    scene.publish()
    scene.lease(seconds=10)
    scene.wait(DAY)
    assert scene.states() == ["dead_lettered"]


def lease_for_ten_seconds(scene):
    scene.publish()
    return scene.lease(seconds=10)[0]


@pytest.mark.parametrize(
    "call",
    [
        lambda scene, lease: scene.publish(),
        lambda scene, lease: scene.lease(seconds=10),
        lambda scene, lease: scene.broker.extend(SUB, lease.ack_id, 5),
        lambda scene, lease: scene.broker.let_expire(SUB, lease.ack_id),
        lambda scene, lease: scene.acknowledge(lease),
        lambda scene, lease: scene.nack(lease),
        lambda scene, lease: scene.broker.make_due(),
        lambda scene, lease: scene.subscribe(OTHER_SUB, idle_ttl=DAY),
        lambda scene, lease: update(scene),
        lambda scene, lease: scene.broker.time_jumped(),
        lambda scene, lease: scene.broker.reset(),
    ],
)
def test_change_is_announced(scene, call):
    scene.subscribe()
    lease = lease_for_ten_seconds(scene)
    scene.publish()
    before = scene.rings
    call(scene, lease)
    assert scene.rings > before


def test_pull_that_finds_nothing_is_not_announced(scene):
    scene.subscribe()
    before = scene.rings
    scene.lease()
    assert scene.rings == before


def test_end_of_a_lease_is_announced(scene):
    scene.subscribe()
    lease_for_ten_seconds(scene)
    scene.wait(10)
    before = scene.rings
    scene.broker.catch_up()
    assert scene.rings > before


# Starting afresh


def test_reset_forgets_everything(scene):
    scene.subscribe(push=PUSHED)
    scene.publish()
    scene.acknowledge(*scene.push())
    scene.publish()
    scene.grant(SUB, TOPIC)
    scene.broker.reset()
    broker = scene.broker
    assert [*broker.topics(), *broker.subscriptions(), *broker.entries()] == []
    assert [*broker.record.deliveries, *broker.record.last_pushed] == []
    assert broker.policies.get(TOPIC) == broker.policies.get(SUB) == Policy()
    assert broker.next_wake() is None
    assert broker.due_pushes() == []


def test_reset_does_not_repeat_message_ids(scene):
    first = scene.publish()
    scene.broker.reset()
    scene.broker.create_topic(Topic(name=TOPIC))
    assert int(scene.publish()) > int(first)


def test_answer_from_before_a_reset_is_ignored(scene):
    scene.subscribe()
    scene.publish()
    [lease] = scene.lease()
    scene.broker.reset()
    scene.broker.create_topic(Topic(name=TOPIC))
    scene.subscribe()
    scene.publish()
    scene.lease()
    assert not scene.broker.acknowledge(SUB, lease.ack_id)
    assert scene.states() == ["outstanding"]
