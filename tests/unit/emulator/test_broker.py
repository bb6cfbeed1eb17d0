"""Topics, subscriptions and what is published: the broker by itself."""

import pytest

from asgi_tasks.emulator.broker.core import Broker
from asgi_tasks.emulator.broker.iam import Policy
from asgi_tasks.emulator.broker.model import (
    DELETED_TOPIC,
    DeadLetterPolicy,
    Draft,
    RetryPolicy,
    State,
    Subscription,
    Topic,
)
from asgi_tasks.emulator.errors import AlreadyExists, NotFound
from tests.unit.emulator.scene import DEAD, DEAD_SUB, OTHER_SUB, SUB, TOPIC, ids

UNKNOWN = "projects/p/topics/unknown"


def only_blue(attributes):
    return attributes.get("colour") == "blue"


# What there is


@pytest.mark.parametrize(
    "call",
    [
        lambda scene: scene.broker.topic(UNKNOWN),
        lambda scene: scene.broker.delete_topic(UNKNOWN),
        lambda scene: scene.broker.replace_topic(Topic(name=UNKNOWN)),
        lambda scene: scene.broker.publish(UNKNOWN, []),
        lambda scene: scene.broker.subscriptions_of(UNKNOWN),
        lambda scene: scene.broker.subscription(SUB),
        lambda scene: scene.broker.delete_subscription(SUB),
        lambda scene: scene.broker.replace_subscription(Subscription(name=SUB, topic=TOPIC)),
        lambda scene: scene.broker.lease(SUB, 1),
        lambda scene: scene.broker.extend(SUB, "1-1", 10),
        lambda scene: scene.broker.make_due(SUB),
        lambda scene: scene.broker.unfinished(SUB),
        lambda scene: scene.subscribe(topic=UNKNOWN),
        lambda scene: scene.subscribe(dead_letter=DeadLetterPolicy(topic=UNKNOWN)),
    ],
)
def test_what_is_unknown_is_not_found(scene, call):
    with pytest.raises(NotFound, match=r"Resource not found \(resource=[a-z-]+\)\."):
        call(scene)


def test_subscription_is_not_created_again(scene):
    scene.subscribe()
    with pytest.raises(AlreadyExists):
        scene.subscribe()


def test_topic_is_not_created_again(scene):
    with pytest.raises(AlreadyExists):
        scene.broker.create_topic(Topic(name=TOPIC))


def test_topics_are_sorted_and_of_one_project(scene):
    scene.broker.create_topic(Topic(name="projects/p2/topics/tasks"))
    assert [topic.name for topic in scene.broker.topics("projects/p")] == [DEAD, TOPIC]
    assert len(scene.broker.topics()) == 3


def test_subscriptions_are_sorted_and_of_one_project(scene):
    scene.subscribe()
    assert [one.name for one in scene.broker.subscriptions("projects/p")] == [DEAD_SUB, SUB]
    assert scene.broker.subscriptions("projects/p2") == []


def test_subscriptions_of_a_topic_are_its_own(scene):
    scene.subscribe(SUB)
    scene.subscribe(OTHER_SUB)
    assert [one.name for one in scene.broker.subscriptions_of(TOPIC)] == [OTHER_SUB, SUB]


def test_replaced_topic_keeps_its_subscriptions(scene):
    scene.subscribe()
    scene.broker.replace_topic(Topic(name=TOPIC, resource="new"))
    assert scene.broker.topic(TOPIC).resource == "new"
    assert [one.name for one in scene.broker.subscriptions_of(TOPIC)] == [SUB]


# Publishing


def test_published_message_is_for_every_subscription_of_its_topic_and_no_other(scene):
    scene.subscribe(SUB)
    scene.subscribe(OTHER_SUB)
    published = scene.publish()
    found = [ids(scene.lease(name=name)) for name in (SUB, OTHER_SUB, DEAD_SUB)]
    assert found == [[published], [published], []]


def test_message_published_before_the_subscription_is_not_for_it(scene):
    scene.publish()
    scene.subscribe()
    assert scene.leased() == []


def test_message_is_delivered_as_it_was_published(scene):
    scene.subscribe()
    scene.publish(b"hello", key="k", colour="blue")
    [lease] = scene.lease()
    assert lease.message.topic == TOPIC
    assert lease.message.data == b"hello"
    assert lease.message.attributes == {"colour": "blue"}
    assert lease.message.ordering_key == "k"
    assert lease.message.published_at == 1_000


def test_message_ids_are_not_repeated_by_a_later_broker(scene):
    first = scene.publish()
    scene.wait(1)
    later = Broker(clock=scene.clock)
    later.create_topic(Topic(name=TOPIC))
    [second] = later.publish(TOPIC, [Draft(data=b"x")])
    assert int(second) > int(first)


# Filters


def test_message_the_filter_wants_is_delivered(scene):
    scene.subscribe(filter=only_blue)
    scene.publish(colour="red")
    blue = scene.publish(colour="blue")
    assert scene.leased() == [blue]


def test_message_the_filter_keeps_out_counts_as_acknowledged(scene):
    scene.subscribe(filter=only_blue)
    scene.publish(b"much", colour="red")
    [entry] = scene.broker.entries(subscription=SUB)
    assert (entry.state, entry.attempts, entry.message.data) == ("acknowledged", 0, b"")
    assert scene.queue.totals[State.ACKNOWLEDGED] == 1
    assert scene.queue.waiting == 0


def test_message_one_filter_keeps_out_is_for_the_others(scene):
    scene.subscribe(SUB, filter=only_blue)
    scene.subscribe(OTHER_SUB)
    red = scene.publish(colour="red")
    assert ids(scene.lease(name=OTHER_SUB)) == [red]


def test_message_the_filter_keeps_out_does_not_hold_up_its_key(scene):
    scene.subscribe(filter=only_blue, ordered=True)
    scene.publish(key="k", colour="red")
    blue = scene.publish(key="k", colour="blue")
    assert scene.leased() == [blue]


# Deleting and replacing


def test_subscription_survives_its_topic_with_its_messages(scene):
    scene.subscribe()
    published = scene.publish()
    scene.broker.delete_topic(TOPIC)
    assert scene.broker.subscription(SUB).topic == DELETED_TOPIC
    assert scene.leased() == [published]


def test_topic_created_again_has_none_of_the_old_subscriptions(scene):
    scene.subscribe()
    scene.broker.delete_topic(TOPIC)
    scene.broker.create_topic(Topic(name=TOPIC))
    scene.publish()
    assert scene.leased() == []


def test_other_topics_subscriptions_do_not_notice_a_deletion(scene):
    scene.subscribe()
    scene.broker.delete_topic(DEAD)
    assert scene.broker.subscription(SUB).topic == TOPIC


def test_policy_goes_with_its_topic(scene):
    scene.grant(TOPIC, DEAD)
    scene.broker.delete_topic(TOPIC)
    assert scene.broker.policies.get(TOPIC) == Policy()
    assert scene.broker.policies.get(DEAD) != Policy()


def test_policy_goes_with_its_subscription(scene):
    scene.subscribe()
    scene.grant(SUB, TOPIC)
    scene.broker.delete_subscription(SUB)
    assert scene.broker.policies.get(SUB) == Policy()
    assert scene.broker.policies.get(TOPIC) != Policy()


def test_subscription_created_again_starts_empty(scene):
    scene.subscribe()
    scene.publish()
    scene.broker.delete_subscription(SUB)
    scene.subscribe()
    assert scene.leased() == []
    assert scene.queue.totals == dict.fromkeys(State, 0)


def test_answer_for_a_deleted_subscription_is_ignored(scene):
    scene.subscribe()
    scene.publish()
    [lease] = scene.lease()
    scene.broker.delete_subscription(SUB)
    scene.broker.let_expire(SUB, lease.ack_id)
    assert not scene.broker.acknowledge(SUB, lease.ack_id)
    assert not scene.broker.nack(SUB, lease.ack_id)
    assert scene.broker.entries() == []


def test_replaced_settings_leave_topic_and_messages(scene):
    scene.subscribe()
    published = scene.publish()
    scene.broker.replace_subscription(Subscription(name=SUB, topic=DEAD, ack_deadline=99))
    assert scene.broker.subscription(SUB).topic == TOPIC
    assert scene.broker.subscription(SUB).ack_deadline == 99
    assert scene.leased() == [published]


def test_replaced_retry_policy_counts_from_the_next_failure(scene):
    scene.subscribe()
    scene.publish()
    scene.broker.replace_subscription(
        Subscription(name=SUB, topic=TOPIC, retry=RetryPolicy(minimum_backoff=7))
    )
    scene.nack_next()
    assert scene.queue.next_due() == 1_007


def test_new_dead_letter_topic_must_be_there(scene):
    scene.subscribe()
    changed = Subscription(name=SUB, topic=TOPIC, dead_letter=DeadLetterPolicy(topic=UNKNOWN))
    with pytest.raises(NotFound):
        scene.broker.replace_subscription(changed)
    assert scene.broker.subscription(SUB).dead_letter is None


def test_subscription_whose_dead_letter_topic_is_gone_can_be_changed(scene):
    scene.subscribe(dead_letter=DeadLetterPolicy(topic=DEAD))
    scene.broker.delete_topic(DEAD)
    changed = Subscription(
        name=SUB, topic=TOPIC, dead_letter=DeadLetterPolicy(topic=DEAD), ack_deadline=99
    )
    scene.broker.replace_subscription(changed)
    assert scene.broker.subscription(SUB).ack_deadline == 99
