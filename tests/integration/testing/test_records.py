from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta

import pytest

from .pubsub import QUEUE, SECRET, TOPIC, PubSub, statuses

REFUNDS = "projects/shop/topics/refunds"
REFUNDS_QUEUE = "projects/shop/subscriptions/refunds-sub"


@pytest.fixture
def two_queues(emulator, endpoint, pubsub):
    """A message of each of two tasks, delivered."""
    pubsub.subscribe(endpoint.url, topic=REFUNDS, name=REFUNDS_QUEUE)
    pubsub.publish("send_receipt", "1")
    pubsub.publish("refund", "2", topic=REFUNDS)
    emulator.wait_until_settled()


def test_delivery_says_what_happened(emulator, pubsub):
    message_id = pubsub.publish("send_receipt", "7")
    (delivery,) = emulator.deliver_all()
    assert (delivery.task, delivery.task_id) == ("send_receipt", "7")
    assert (delivery.message_id, delivery.topic) == (message_id, TOPIC)
    assert (delivery.subscription, delivery.attempt) == (QUEUE, 1)
    assert (delivery.status, delivery.error, delivery.fault) == (204, None, None)


def test_times_are_aware(emulator, pubsub):
    pubsub.publish()
    (delivery,) = emulator.deliver_all()
    (message,) = emulator.messages()
    now = datetime.now(UTC)
    for moment in (message.published_at, delivery.sent_at, delivery.finished_at):
        assert abs(now - moment) < timedelta(hours=1)


def test_delivery_under_way_has_no_end(emulator, endpoint, pubsub):
    endpoint.open.clear()
    pubsub.publish()
    (delivery,) = emulator.deliveries()
    assert (delivery.status, delivery.error, delivery.finished_at) == (None, None, None)


def test_delivery_that_got_no_answer_says_why(emulator):
    pubsub = PubSub(emulator)
    pubsub.subscribe("http://127.0.0.1:1/")
    pubsub.publish()
    delivery = emulator.deliver_all()[0]
    assert delivery.status is None
    assert "Cannot connect" in delivery.error


def test_deliveries_come_in_the_order_they_began(emulator, endpoint, pubsub):
    endpoint.answers = [500]
    first = pubsub.publish()
    emulator.deliver_all()
    emulator.clock.advance(1)
    second = pubsub.publish()
    emulator.deliver_all()
    emulator.clock.advance(1)
    assert emulator.redeliver_last().message_id == second
    ids = [delivery.message_id for delivery in emulator.deliveries()]
    assert ids == [first, first, second, second]


def test_message_says_what_became_of_it(emulator, endpoint, pubsub):
    endpoint.answers = [500, 500]
    message_id = pubsub.publish("send_receipt", "7", orderingKey="k")
    emulator.deliver_all()
    (message,) = emulator.messages()
    assert (message.task, message.task_id) == ("send_receipt", "7")
    assert (message.message_id, message.topic, message.subscription) == (message_id, TOPIC, QUEUE)
    assert (message.state, message.attempts, message.ordering_key) == ("waiting", 2, "k")
    assert statuses(message.deliveries) == [500, 500]
    assert message.attributes["task_id"] == "7"


def test_message_of_no_task_has_no_task(emulator, pubsub):
    pubsub.publish(attributes={"colour": "blue"})
    (message,) = emulator.messages()
    assert (message.task, message.task_id) == (None, None)


@pytest.mark.parametrize("what", ["messages", "deliveries"])
@pytest.mark.parametrize(
    "wanted",
    [
        {"task": "refund"},
        {"task_id": "2"},
        {"topic": REFUNDS},
        {"topic": "refunds"},
        {"subscription": REFUNDS_QUEUE},
        {"subscription": "refunds-sub"},
    ],
    ids=str,
)
def test_filter_selects(emulator, two_queues, what, wanted):
    (one,) = getattr(emulator, what)(**wanted)
    assert one.task == "refund"


@pytest.mark.parametrize(
    "wanted",
    [{"task": "refun"}, {"subscription": "sub"}, {"topic": REFUNDS, "task_id": "1"}],
    ids=str,
)
def test_filter_that_fits_nothing_selects_nothing(emulator, two_queues, wanted):
    assert emulator.messages(**wanted) == []


def test_state_selects(emulator, endpoint, two_queues, pubsub):
    endpoint.answers = [500, 500]
    pubsub.publish(task_id="3")
    emulator.deliver_all()
    assert [message.task_id for message in emulator.messages(state="waiting")] == ["3"]
    assert len(emulator.messages(state="acknowledged")) == 2


def test_records_are_frozen_and_can_be_hashed(emulator, two_queues):
    message, delivery = emulator.messages()[0], emulator.deliveries()[0]
    assert {message, delivery} == {emulator.messages()[0], emulator.deliveries()[0]}
    with pytest.raises(FrozenInstanceError):
        delivery.status = 204
    with pytest.raises(TypeError):
        message.attributes["task_id"] = "3"


def test_repr_names_the_task_and_the_outcome(emulator, two_queues):
    assert "task='send_receipt', attempt=1, status=204" in repr(emulator.deliveries()[0])
    assert "task='send_receipt', state='acknowledged'" in repr(emulator.messages()[0])
    assert repr(emulator) == f"<Emulator {emulator.url}>"


def test_no_data_is_shown(emulator, two_queues):
    assert SECRET not in repr([emulator.messages(), emulator.deliveries()])
