"""Messages that are older than their subscription keeps them."""

from asgi_tasks.emulator.broker.model import (
    DAY,
    RetryPolicy,
    State,
    Subscription,
)
from tests.unit.emulator.scene import PUSHED, SUB, TOPIC


def test_message_is_kept_until_its_retention_is_over(scene):
    scene.subscribe(retention=600)
    published = scene.publish()
    scene.wait(599)
    assert scene.leased() == [published]


def test_message_older_than_its_subscription_keeps_them_expires(scene):
    scene.subscribe(retention=600)
    scene.publish()
    scene.wait(600)
    assert scene.leased() == []
    assert scene.states() == ["expired"]
    assert scene.queue.totals[State.EXPIRED] == 1


def test_messages_expire_each_at_its_own_time(scene):
    scene.subscribe(retention=600)
    scene.publish()
    scene.wait(300)
    later = scene.publish()
    scene.wait(300)
    assert scene.leased() == [later]


def test_message_that_backs_off_expires(scene):
    scene.subscribe(retention=600, retry=RetryPolicy(minimum_backoff=600))
    scene.publish()
    scene.nack_next()
    scene.wait(600)
    assert scene.leased() == []
    assert scene.states() == ["expired"]


def test_outstanding_message_expires(scene):
    scene.subscribe(retention=600)
    scene.publish()
    scene.lease()
    scene.wait(600)
    assert scene.states() == ["expired"]
    assert scene.queue.outstanding == 0


def test_late_answer_to_an_expired_message_is_ignored(scene):
    scene.subscribe(retention=600)
    scene.publish()
    [lease] = scene.lease()
    scene.wait(600)
    assert not scene.broker.acknowledge(SUB, lease.ack_id)
    assert not scene.broker.nack(SUB, lease.ack_id)
    assert scene.states() == ["expired"]


def test_delivery_of_a_message_that_expires_ends_with_it(scene):
    scene.subscribe(retention=600)
    scene.publish()
    [lease] = scene.lease()
    scene.wait(600)
    scene.broker.catch_up()
    assert (lease.delivery.finished_at, lease.delivery.error) == (1_600, "the message expired")


def test_shorter_retention_is_for_the_messages_there_are_too(scene):
    scene.subscribe(retention=7 * DAY)
    scene.publish()
    scene.wait(DAY)
    scene.broker.replace_subscription(Subscription(name=SUB, topic=TOPIC, retention=600))
    assert scene.states() == ["expired"]


def test_expired_message_is_not_pushed(scene):
    scene.subscribe(retention=600, push=PUSHED)
    scene.publish()
    scene.wait(600)
    assert scene.pushed() == []
