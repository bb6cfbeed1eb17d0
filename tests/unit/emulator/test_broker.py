"""The broker by itself: no sockets, and a clock the test moves."""

import pytest

from asgi_tasks.emulator.broker import Broker
from asgi_tasks.emulator.errors import AlreadyExists, NotFound
from asgi_tasks.emulator.model import (
    DELETED_TOPIC,
    DELIVERIES_KEPT,
    DeadLetterPolicy,
    Draft,
    PushTarget,
    RetryPolicy,
    Subscription,
    Topic,
)

TOPIC = "projects/p/topics/tasks"
DEAD = "projects/p/topics/dead"
SUB = "projects/p/subscriptions/tasks-sub"
DEAD_SUB = "projects/p/subscriptions/dead-sub"


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def broker(clock):
    broker = Broker(clock=clock)
    broker.create_topic(Topic(name=TOPIC))
    broker.create_topic(Topic(name=DEAD))
    broker.create_subscription(Subscription(name=DEAD_SUB, topic=DEAD))
    return broker


def subscribe(broker, **settings):
    broker.create_subscription(Subscription(name=SUB, topic=TOPIC, **settings))


def publish(broker, data=b"x", **attributes):
    [message_id] = broker.publish(TOPIC, [Draft(data=data, attributes=attributes)])
    return message_id


def states(broker, subscription=SUB):
    return [entry.state.value for entry in broker.record(subscription=subscription)]


def nack_next(broker):
    [lease] = broker.lease(SUB, 1)
    assert broker.nack(SUB, lease.ack_id, status=500)


def test_published_message_is_leased_once(broker):
    subscribe(broker)
    message_id = publish(broker, b"hello", colour="blue")

    [lease] = broker.lease(SUB, 10)

    assert lease.message.message_id == message_id
    assert lease.message.data == b"hello"
    assert lease.message.attributes == {"colour": "blue"}
    assert lease.attempt == 1
    assert broker.lease(SUB, 10) == []
    assert states(broker) == ["outstanding"]


def test_message_goes_to_every_subscription_of_its_topic_and_no_other(broker):
    other = "projects/p/subscriptions/other"
    subscribe(broker)
    broker.create_subscription(Subscription(name=other, topic=TOPIC))
    publish(broker)

    assert [len(broker.lease(name, 10)) for name in (SUB, other, DEAD_SUB)] == [1, 1, 0]


def test_message_published_before_the_subscription_is_not_for_it(broker):
    publish(broker)
    subscribe(broker)
    assert broker.lease(SUB, 10) == []


def test_messages_are_leased_in_order_and_at_most_the_limit(broker):
    subscribe(broker)
    ids = broker.publish(TOPIC, [Draft(data=b"%d" % number) for number in range(5)])

    leases = broker.lease(SUB, 3) + broker.lease(SUB, 3)

    assert [lease.message.message_id for lease in leases] == ids


def test_message_ids_are_not_repeated_by_a_later_broker(broker, clock):
    first = publish(broker)
    clock.now += 1
    later = Broker(clock=clock)
    later.create_topic(Topic(name=TOPIC))
    assert int(publish(later)) > int(first)


def test_acknowledged_message_stays_away(broker, clock):
    subscribe(broker)
    publish(broker)
    [lease] = broker.lease(SUB, 1, seconds=10)

    assert broker.acknowledge(SUB, lease.ack_id, status=204)

    clock.now += 1_000
    broker.expire()
    assert broker.lease(SUB, 1) == []
    assert states(broker) == ["acknowledged"]
    assert broker.record()[0].deliveries[0].status == 204


def test_delivery_is_settled_only_once(broker):
    subscribe(broker)
    publish(broker)
    [lease] = broker.lease(SUB, 1)
    assert broker.acknowledge(SUB, lease.ack_id)

    assert not broker.acknowledge(SUB, lease.ack_id)
    assert not broker.nack(SUB, lease.ack_id)


def test_ack_id_of_an_earlier_delivery_no_longer_fits(broker):
    subscribe(broker)
    publish(broker)
    [first] = broker.lease(SUB, 1)
    broker.nack(SUB, first.ack_id)
    [second] = broker.lease(SUB, 1)

    assert not broker.acknowledge(SUB, first.ack_id)
    assert broker.acknowledge(SUB, second.ack_id)


def test_nacked_message_without_a_retry_policy_is_due_at_once(broker):
    subscribe(broker)
    publish(broker)
    nack_next(broker)
    [lease] = broker.lease(SUB, 1)
    assert lease.attempt == 2


def test_failed_push_without_a_retry_policy_waits_the_least_push_backoff(broker, clock):
    subscribe(broker, push=PushTarget(endpoint="http://localhost/"))
    publish(broker)
    nack_next(broker)
    assert broker.next_due(SUB) == pytest.approx(clock.now + 0.1)


def test_retry_policy_backs_off_exponentially_up_to_its_maximum(broker, clock):
    subscribe(broker, retry=RetryPolicy(minimum_backoff=10, maximum_backoff=60))
    publish(broker)
    delays = []
    for _ in range(5):
        nack_next(broker)
        delays.append(broker.next_due(SUB) - clock.now)
        clock.now = broker.next_due(SUB)
    assert delays == [10, 20, 40, 60, 60]


def test_backoff_of_a_message_that_failed_very_often_stays_finite():
    assert RetryPolicy(minimum_backoff=1, maximum_backoff=600).delay(1_000_000) == 600


def test_time_factor_multiplies_the_delays(clock):
    broker = Broker(clock=clock, time_factor=0.01)
    broker.create_topic(Topic(name=TOPIC))
    subscribe(broker, retry=RetryPolicy(minimum_backoff=10))
    publish(broker)
    nack_next(broker)
    assert broker.next_due(SUB) - clock.now == pytest.approx(0.1)


def test_message_is_not_leased_before_its_delay_has_passed(broker, clock):
    subscribe(broker, retry=RetryPolicy(minimum_backoff=10))
    publish(broker)
    nack_next(broker)
    clock.now += 9.9
    assert broker.lease(SUB, 1) == []
    clock.now += 0.2
    assert len(broker.lease(SUB, 1)) == 1


def test_one_failing_message_does_not_hold_up_another(broker):
    subscribe(broker, retry=RetryPolicy(minimum_backoff=10))
    publish(broker)
    nack_next(broker)
    second = publish(broker)
    assert [lease.message.message_id for lease in broker.lease(SUB, 5)] == [second]


def test_lease_that_ran_out_counts_as_a_nack(broker, clock):
    subscribe(broker)
    publish(broker)
    [lease] = broker.lease(SUB, 1, seconds=10)
    assert broker.next_expiry() == clock.now + 10

    clock.now += 10
    broker.expire()

    assert not broker.acknowledge(SUB, lease.ack_id)
    assert broker.lease(SUB, 1)[0].attempt == 2
    assert broker.record()[0].deliveries[0].error == "the ack deadline passed"


@pytest.mark.parametrize(("seconds", "state"), [(60, "outstanding"), (5, "waiting")])
def test_extended_lease_ends_at_its_new_deadline(broker, clock, seconds, state):
    subscribe(broker)
    publish(broker)
    [lease] = broker.lease(SUB, 1, seconds=10)

    broker.extend(SUB, lease.ack_id, seconds)
    clock.now += 30
    broker.expire()

    assert states(broker) == [state]


def test_lease_without_seconds_never_runs_out(broker, clock):
    subscribe(broker)
    publish(broker)
    broker.lease(SUB, 1)
    clock.now += 1_000_000
    broker.expire()
    assert states(broker) == ["outstanding"]


def test_message_is_forwarded_after_its_last_attempt(broker):
    subscribe(broker, dead_letter=DeadLetterPolicy(topic=DEAD, max_delivery_attempts=5))
    original = publish(broker, b"poison", colour="blue")
    for _ in range(4):
        nack_next(broker)
    assert states(broker) == ["waiting"]

    nack_next(broker)

    assert states(broker) == ["dead_lettered"]
    [lease] = broker.lease(DEAD_SUB, 1)
    assert lease.message.message_id != original
    assert lease.message.data == b"poison"
    assert lease.message.attributes == {
        "colour": "blue",
        "CloudPubSubDeadLetterSourceSubscription": "tasks-sub",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "1970-01-01T00:16:40.000+00:00",
    }


def test_message_without_a_dead_letter_policy_is_retried_for_ever(broker):
    subscribe(broker)
    publish(broker)
    for _ in range(DELIVERIES_KEPT + 50):
        nack_next(broker)

    assert states(broker) == ["waiting"]
    deliveries = broker.record()[0].deliveries
    assert len(deliveries) == DELIVERIES_KEPT
    assert deliveries[-1].attempt == DELIVERIES_KEPT + 50


def test_message_whose_dead_letter_topic_is_gone_is_kept(broker):
    subscribe(broker, dead_letter=DeadLetterPolicy(topic=DEAD, max_delivery_attempts=5))
    publish(broker)
    broker.delete_topic(DEAD)
    for _ in range(8):
        nack_next(broker)
    assert states(broker) == ["waiting"]


def test_expired_leases_lead_to_the_dead_letters_too(broker, clock):
    subscribe(broker, dead_letter=DeadLetterPolicy(topic=DEAD, max_delivery_attempts=5))
    publish(broker)
    for _ in range(5):
        broker.lease(SUB, 1, seconds=10)
        clock.now += 10
        broker.expire()
    assert states(broker) == ["dead_lettered"]
    assert states(broker, DEAD_SUB) == ["waiting"]


@pytest.mark.parametrize(
    "call",
    [
        lambda broker: broker.topic(TOPIC + "-no"),
        lambda broker: broker.delete_topic(TOPIC + "-no"),
        lambda broker: broker.publish(TOPIC + "-no", []),
        lambda broker: broker.subscriptions_of(TOPIC + "-no"),
        lambda broker: broker.subscription(SUB),
        lambda broker: broker.delete_subscription(SUB),
        lambda broker: broker.replace_subscription(Subscription(name=SUB, topic=TOPIC)),
        lambda broker: broker.lease(SUB, 1),
        lambda broker: broker.create_subscription(Subscription(name=SUB, topic=TOPIC + "-no")),
        lambda broker: subscribe(broker, dead_letter=DeadLetterPolicy(topic=DEAD + "-no")),
    ],
)
def test_what_is_unknown_is_not_found(broker, call):
    with pytest.raises(NotFound, match=r"Resource not found \(resource=[a-z-]+\)\."):
        call(broker)


def test_what_exists_is_not_created_again(broker):
    subscribe(broker)
    with pytest.raises(AlreadyExists):
        subscribe(broker)
    with pytest.raises(AlreadyExists):
        broker.create_topic(Topic(name=TOPIC))


def test_lists_are_sorted_and_of_one_project(broker):
    subscribe(broker)
    broker.create_topic(Topic(name="projects/p2/topics/tasks"))
    assert [topic.name for topic in broker.topics("projects/p")] == [DEAD, TOPIC]
    assert [one.name for one in broker.subscriptions("projects/p")] == [DEAD_SUB, SUB]
    assert [one.name for one in broker.subscriptions_of(TOPIC)] == [SUB]
    assert broker.subscriptions("projects/p2") == []


def test_subscription_survives_its_topic_with_its_messages(broker):
    subscribe(broker)
    publish(broker)
    broker.delete_topic(TOPIC)
    assert broker.subscription(SUB).topic == DELETED_TOPIC
    assert len(broker.lease(SUB, 1)) == 1


def test_replaced_settings_leave_topic_and_messages(broker):
    subscribe(broker)
    publish(broker)
    broker.replace_subscription(Subscription(name=SUB, topic=DEAD, ack_deadline=99))
    assert broker.subscription(SUB).topic == TOPIC
    assert broker.subscription(SUB).ack_deadline == 99
    assert states(broker) == ["waiting"]


def test_answer_for_a_deleted_subscription_is_ignored(broker):
    subscribe(broker)
    publish(broker)
    [lease] = broker.lease(SUB, 1)
    broker.delete_subscription(SUB)
    assert not broker.acknowledge(SUB, lease.ack_id)
    assert not broker.nack(SUB, lease.ack_id)
    assert broker.record() == []


def test_record_forgets_the_data_and_the_oldest_of_the_finished(clock):
    broker = Broker(clock=clock, finished_kept=3)
    broker.create_topic(Topic(name=TOPIC))
    subscribe(broker)
    ids = [publish(broker, b"much") for _ in range(5)]
    for lease in broker.lease(SUB, 5):
        broker.acknowledge(SUB, lease.ack_id)

    assert [entry.message.message_id for entry in broker.record()] == ids[2:]
    assert {entry.message.data for entry in broker.record()} == {b""}


def test_clearing_the_record_leaves_the_unfinished(broker):
    subscribe(broker)
    publish(broker)
    [lease] = broker.lease(SUB, 1)
    broker.acknowledge(SUB, lease.ack_id)
    publish(broker)

    assert broker.clear_finished() == 1
    assert states(broker) == ["waiting"]
    assert broker.counts() == {
        "topics": 2,
        "subscriptions": 2,
        "waiting": 1,
        "outstanding": 0,
        "acknowledged": 0,
        "dead_lettered": 0,
    }


def test_record_is_filtered_by_topic_and_subscription(broker):
    subscribe(broker)
    publish(broker)
    broker.publish(DEAD, [Draft(data=b"x")])
    assert [entry.subscription for entry in broker.record(topic=DEAD)] == [DEAD_SUB]
    assert [entry.subscription for entry in broker.record(subscription=SUB)] == [SUB]
    assert len(broker.record()) == 2
    assert broker.record(topic=DEAD, subscription=SUB) == []


def test_changes_are_announced(clock):
    rung = []
    broker = Broker(clock=clock, on_change=lambda: rung.append(1))
    broker.create_topic(Topic(name=TOPIC))
    subscribe(broker)
    publish(broker)
    nack_next(broker)
    broker.replace_subscription(broker.subscription(SUB))
    assert len(rung) == 3
