"""What is to be pushed when, and when to look again."""

import pytest

from asgi_tasks.emulator.broker.model import (
    DAY,
    Draft,
    PushTarget,
    RetryPolicy,
    Subscription,
    Timing,
)
from tests.unit.emulator.scene import DEAD, OTHER_SUB, PUSHED, SUB, TOPIC, Scene


@pytest.fixture
def pushed(scene):
    scene.subscribe(push=PUSHED)
    return scene


def test_published_message_is_pushed_once(pushed):
    published = pushed.publish()
    [(subscription, lease)] = pushed.broker.due_pushes()
    assert (subscription.name, lease.message.message_id) == (SUB, published)
    assert pushed.pushed() == []


def test_pulled_subscription_is_not_pushed(scene):
    scene.subscribe()
    scene.publish()
    assert scene.pushed() == []


def test_messages_wait_for_a_subscription_to_be_pushed(scene):
    scene.subscribe()
    published = scene.publish()
    scene.push()
    scene.broker.replace_subscription(Subscription(name=SUB, topic=TOPIC, push=PUSHED))
    assert scene.pushed() == [published]


def test_all_subscriptions_are_pushed(pushed):
    pushed.subscribe(OTHER_SUB, push=PUSHED)
    pushed.publish()
    names = [subscription.name for subscription, _ in pushed.broker.due_pushes()]
    assert sorted(names) == [OTHER_SUB, SUB]


def test_window_bounds_the_pushes_under_way(pushed):
    published = [pushed.publish() for _ in range(20)]
    assert pushed.pushed() == published[:5]


def test_acknowledged_push_makes_room_for_two(pushed):
    published = [pushed.publish() for _ in range(20)]
    [first, *_] = pushed.push()
    pushed.acknowledge(first)
    assert pushed.pushed() == published[5:7]


def test_another_endpoint_is_pushed_to_at_once(pushed):
    pushed.publish()
    pushed.publish()
    [first, _] = pushed.push()
    pushed.broker.nack(SUB, first.ack_id)
    pushed.publish()
    assert pushed.pushed() == []
    repaired = PushTarget(endpoint="http://localhost/repaired")
    pushed.broker.replace_subscription(Subscription(name=SUB, topic=TOPIC, push=repaired))
    assert pushed.pushed() != []


def test_window_is_each_subscriptions_own(pushed):
    pushed.subscribe(OTHER_SUB, push=PUSHED)
    for _ in range(20):
        pushed.publish()
    assert len(pushed.push()) == 10


def test_expired_push_makes_room_for_another():
    scene = Scene(timing=Timing(push_window=1))
    scene.subscribe(push=PUSHED, retention=600)
    scene.publish()
    scene.push()
    scene.wait(300)
    second = scene.publish()
    scene.wait(300)
    assert scene.pushed() == [second]


# Push backoff


def test_failed_push_pauses_its_subscription(pushed):
    pushed.publish()
    pushed.nack(*pushed.push())
    pushed.publish()
    pushed.wait(0.099)
    assert pushed.pushed() == []
    pushed.wait(0.001)
    assert len(pushed.pushed()) == 2


def test_failed_push_does_not_pause_another_subscription(pushed):
    pushed.subscribe(OTHER_SUB, topic=DEAD, push=PUSHED)
    pushed.publish()
    pushed.nack(*pushed.push())
    published = pushed.broker.publish(DEAD, [Draft(data=b"x")])
    assert pushed.pushed() == published


@pytest.mark.parametrize(("minimum_backoff", "wait"), [(0, 0.1), (10, 10)])
def test_longer_of_retry_policy_and_pause_counts(scene, minimum_backoff, wait):
    scene.subscribe(push=PUSHED, retry=RetryPolicy(minimum_backoff=minimum_backoff))
    scene.publish()
    scene.nack(*scene.push())
    assert scene.broker.next_wake() == pytest.approx(scene.clock.now + wait)


def test_failed_pull_pauses_nothing(scene):
    scene.subscribe()
    scene.publish()
    scene.nack_next()
    assert len(scene.leased()) == 1


def test_made_due_messages_are_pushed_in_spite_of_a_pause(pushed):
    published = pushed.publish()
    pushed.nack(*pushed.push())
    pushed.broker.make_due()
    assert pushed.pushed() == [published]


def test_pause_alone_can_be_forgotten(scene):
    scene.subscribe(push=PUSHED, retry=RetryPolicy(minimum_backoff=10))
    scene.publish()
    scene.nack(*scene.push())
    second = scene.publish()
    scene.broker.make_due(retries=False)
    assert scene.pushed() == [second]


# Pushes left to their ack deadline


def test_push_left_alone_comes_again_after_its_ack_deadline(scene):
    scene.subscribe(push=PUSHED, ack_deadline=20)
    scene.publish()
    [lease] = scene.push()
    scene.broker.let_expire(SUB, lease.ack_id)
    assert scene.broker.next_wake() == 1_020
    scene.wait(20)
    scene.broker.catch_up()
    scene.wait(1)
    assert [lease.attempt for lease in scene.push()] == [2]


def test_push_left_alone_can_still_be_acknowledged(pushed):
    pushed.publish()
    [lease] = pushed.push()
    pushed.broker.let_expire(SUB, lease.ack_id)
    pushed.wait(9)
    pushed.acknowledge(lease)


def test_time_factor_multiplies_the_wait_for_a_push_left_alone():
    scene = Scene(timing=Timing(factor=0.1))
    scene.subscribe(push=PUSHED, ack_deadline=20)
    scene.publish()
    [lease] = scene.push()
    scene.broker.let_expire(SUB, lease.ack_id)
    assert scene.broker.next_wake() == 1_002


def test_settled_push_is_not_left_alone(pushed):
    pushed.publish()
    [lease] = pushed.push()
    pushed.acknowledge(lease)
    pushed.broker.let_expire(SUB, lease.ack_id)
    assert pushed.broker.next_wake() is None


# When to look again


def test_nothing_to_do_means_no_wake(scene):
    scene.subscribe(push=PUSHED)
    assert scene.broker.next_wake() is None


def test_published_message_wakes_at_once(pushed):
    pushed.publish()
    assert pushed.broker.next_wake() == pushed.clock.now


def test_push_under_way_wakes_only_for_its_expiry(scene):
    scene.subscribe(push=PUSHED, retention=600)
    scene.publish()
    scene.push()
    assert scene.broker.next_wake() == 1_600


def test_full_window_does_not_wake(scene):
    scene.subscribe(push=PUSHED, retention=600)
    for _ in range(20):
        scene.publish()
    scene.push()
    assert scene.broker.next_wake() == 1_600


def test_finished_messages_do_not_wake(pushed):
    pushed.publish()
    pushed.acknowledge(*pushed.push())
    assert pushed.broker.next_wake() is None


def test_pulled_message_wakes_at_the_end_of_its_lease(scene):
    scene.subscribe()
    scene.publish()
    scene.lease(seconds=10)
    assert scene.broker.next_wake() == 1_010


def test_idle_subscription_wakes_for_its_deletion(scene):
    scene.subscribe(idle_ttl=DAY)
    assert scene.broker.next_wake() == 1_000 + DAY


def test_deleted_subscription_does_not_wake(scene):
    scene.subscribe(idle_ttl=DAY)
    scene.broker.delete_subscription(SUB)
    assert scene.broker.next_wake() is None
