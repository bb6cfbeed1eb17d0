"""Messages of one ordering key: one at a time, in order."""

import pytest

from asgi_tasks.emulator.broker.model import (
    DeadLetterPolicy,
    RetryPolicy,
)
from tests.unit.emulator.scene import DEAD, ids


@pytest.fixture
def ordered(scene):
    scene.subscribe(ordered=True)
    return scene


def test_one_message_of_a_key_is_outstanding(ordered):
    first, _, _ = (ordered.publish(key="k") for _ in range(3))
    assert ordered.leased() == [first]
    assert ordered.leased() == []


def test_messages_of_a_key_come_in_order(ordered):
    published = [ordered.publish(key="k") for _ in range(4)]
    received = []
    while leases := ordered.lease():
        received += ids(leases)
        ordered.acknowledge(*leases)
    assert received == published


def test_keys_do_not_hold_up_each_other(ordered):
    published = [ordered.publish(key=key) for key in ("a", "b", "a", "c")]
    assert ordered.leased() == [published[0], published[1], published[3]]


def test_messages_without_a_key_are_not_ordered(ordered):
    published = [ordered.publish() for _ in range(3)]
    assert ordered.leased() == published


def test_keys_mean_nothing_to_a_subscription_that_is_not_ordered(scene):
    scene.subscribe(ordered=False)
    published = [scene.publish(key="k") for _ in range(3)]
    assert scene.leased() == published


def test_nacked_message_comes_again_before_the_next_of_its_key(ordered):
    first, second = (ordered.publish(key="k") for _ in range(2))
    ordered.nack_next()
    [again] = ordered.lease()
    assert (again.message.message_id, again.attempt) == (first, 2)
    ordered.acknowledge(again)
    assert ordered.leased() == [second]


def test_message_that_backs_off_blocks_its_key_and_no_other(scene):
    scene.subscribe(ordered=True, retry=RetryPolicy(minimum_backoff=10))
    scene.publish(key="a")
    scene.publish(key="a")
    scene.nack_next()
    others = [scene.publish(key="b"), scene.publish()]
    assert scene.leased() == others


def test_next_of_a_key_moves_up_after_a_dead_letter(scene):
    policy = DeadLetterPolicy(topic=DEAD, max_delivery_attempts=1)
    scene.subscribe(ordered=True, dead_letter=policy)
    _, second = (scene.publish(key="k") for _ in range(2))
    scene.nack_next()
    assert scene.leased() == [second]


def test_next_of_a_key_moves_up_after_an_expiry(scene):
    scene.subscribe(ordered=True, retention=600)
    scene.publish(key="k")
    scene.wait(1)
    second = scene.publish(key="k")
    scene.lease()
    scene.wait(599)
    assert scene.leased() == [second]


def test_next_of_a_key_is_due_at_once(ordered):
    ordered.publish(key="k")
    ordered.publish(key="k")
    [lease] = ordered.lease()
    ordered.wait(5)
    ordered.acknowledge(lease)
    assert ordered.queue.next_due() == 1_005


def test_key_is_free_again_when_its_last_message_is_done(ordered):
    ordered.publish(key="k")
    ordered.acknowledge(*ordered.lease())
    published = ordered.publish(key="k")
    assert ordered.leased() == [published]


def test_all_of_a_key_expire_together(scene):
    scene.subscribe(ordered=True, retention=600)
    for _ in range(3):
        scene.publish(key="k")
    scene.wait(600)
    assert scene.states() == ["expired"] * 3
