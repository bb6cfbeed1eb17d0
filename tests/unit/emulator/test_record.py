"""What the broker remembers, and what it forgets."""

from asgi_tasks.emulator.broker.model import DELIVERIES_KEPT, DeadLetterPolicy, Draft
from asgi_tasks.emulator.broker.record import RECENT_KEPT, Record
from tests.unit.emulator.scene import DEAD, DEAD_SUB, OTHER_SUB, PUSHED, SUB, TOPIC, Scene, ids


def test_finished_messages_lose_their_data(scene):
    scene.subscribe()
    scene.publish(b"much")
    scene.acknowledge(*scene.lease())
    [entry] = scene.broker.entries(subscription=SUB)
    assert entry.message.data == b""


def test_oldest_of_the_finished_are_forgotten():
    scene = Scene(record=Record(finished_kept=3))
    scene.subscribe()
    published = [scene.publish() for _ in range(5)]
    for lease in scene.lease():
        scene.acknowledge(lease)
    assert [entry.message.message_id for entry in scene.broker.entries()] == published[2:]


def test_finished_with_many_attributes_are_forgotten_sooner():
    scene = Scene(record=Record(attributes_kept=100))
    scene.subscribe()
    published = [scene.publish(much="x" * 40) for _ in range(5)]
    for lease in scene.lease():
        scene.acknowledge(lease)
    assert [entry.message.message_id for entry in scene.broker.entries()] == published[3:]


def test_clearing_the_finished_makes_room_again():
    record = Record(attributes_kept=100)
    scene = Scene(record=record)
    scene.subscribe()
    scene.publish(much="x" * 90)
    scene.acknowledge(*scene.lease())
    assert record.clear_finished() == 1
    published = [scene.publish(much="x" * 40) for _ in range(2)]
    for lease in scene.lease():
        scene.acknowledge(lease)
    assert [entry.message.message_id for entry in scene.broker.entries()] == published


def test_entries_are_in_the_order_of_publication(scene):
    scene.subscribe()
    published = [scene.publish() for _ in range(3)]
    _, second, _ = scene.lease()
    scene.acknowledge(second)
    assert [entry.message.message_id for entry in scene.broker.entries()] == published


def test_entries_are_chosen_by_topic_and_subscription(scene):
    scene.subscribe()
    scene.publish()
    scene.broker.publish(DEAD, [Draft(data=b"x")])
    chosen = [{"topic": DEAD}, {"subscription": SUB}, {}, {"topic": DEAD, "subscription": SUB}]
    found = [[one.subscription for one in scene.broker.entries(**choice)] for choice in chosen]
    assert found == [[DEAD_SUB], [SUB], [SUB, DEAD_SUB], []]


def test_unfinished_are_those_of_one_subscription_or_of_all(scene):
    scene.subscribe()
    scene.subscribe(OTHER_SUB)
    scene.publish()
    scene.acknowledge(*scene.lease(1))
    last = scene.publish()
    assert [entry.message.message_id for entry in scene.broker.unfinished(SUB)] == [last]
    assert len(scene.broker.unfinished()) == 3


def test_deliveries_of_one_message_are_bounded(scene):
    scene.subscribe()
    scene.publish()
    for _ in range(DELIVERIES_KEPT + 50):
        scene.nack_next()
    [entry] = scene.broker.entries()
    assert len(entry.deliveries) == DELIVERIES_KEPT
    assert entry.deliveries[-1].attempt == DELIVERIES_KEPT + 50


def test_last_deliveries_are_those_that_ended_last(scene):
    scene.subscribe()
    published = [scene.publish() for _ in range(RECENT_KEPT + 5)]
    for lease in scene.lease(200):
        scene.acknowledge(lease)
    kept = [entry.message.message_id for entry, _ in scene.broker.record.deliveries]
    assert kept == published[5:]


def test_delivery_is_recorded_with_its_times_status_and_error(scene):
    scene.subscribe(push=PUSHED)
    scene.publish()
    scene.wait(1)
    [lease] = scene.push()
    scene.wait(2)
    scene.broker.nack(SUB, lease.ack_id, status=503, error="busy")
    [(entry, delivery)] = scene.broker.record.deliveries
    assert entry.deliveries == [delivery]
    assert (delivery.sent_at, delivery.finished_at) == (1_001, 1_003)
    assert (delivery.attempt, delivery.status, delivery.error) == (1, 503, "busy")


def test_last_dead_letters_are_bounded(scene):
    scene.subscribe(dead_letter=DeadLetterPolicy(topic=DEAD, max_delivery_attempts=1))
    published = [scene.publish() for _ in range(RECENT_KEPT + 5)]
    for lease in scene.lease(200):
        scene.nack(lease)
    kept = [entry.message.message_id for entry in scene.broker.record.dead_letters]
    assert kept == published[5:]


def test_last_push_of_each_subscription_is_kept_the_last_one_last(scene):
    scene.subscribe(push=PUSHED)
    scene.subscribe(OTHER_SUB, topic=DEAD, push=PUSHED)
    published = {}
    for topic in (DEAD, TOPIC, DEAD):
        published[topic] = scene.broker.publish(topic, [Draft(data=b"x")])
        scene.push()
    pushed = scene.broker.record.last_pushed
    assert list(pushed) == [SUB, OTHER_SUB]
    assert ids(pushed.values()) == published[TOPIC] + published[DEAD]


def test_last_of_several_pushed_at_once_is_the_last_push(scene):
    scene.subscribe(push=PUSHED)
    published = [scene.publish() for _ in range(3)]
    scene.push()
    assert scene.broker.record.last_pushed[SUB].message.message_id == published[-1]


def test_last_push_of_a_deleted_subscription_is_forgotten(scene):
    scene.subscribe(push=PUSHED)
    scene.publish()
    scene.push()
    scene.broker.delete_subscription(SUB)
    assert scene.broker.record.last_pushed == {}


def test_pulled_message_is_not_one_that_was_pushed(scene):
    scene.subscribe()
    scene.publish()
    scene.lease()
    assert scene.broker.record.last_pushed == {}


def test_delivery_beside_the_counted_ones_changes_nothing_but_the_record(scene):
    scene.subscribe(push=PUSHED)
    scene.publish()
    [lease] = scene.push()
    copy = scene.broker.add_delivery(lease, "redelivered")
    scene.wait(1)
    scene.broker.end_delivery(lease, copy, status=500, error=None)
    [entry] = scene.broker.entries()
    assert (entry.state, entry.attempts) == ("outstanding", 1)
    assert entry.deliveries == [lease.delivery, copy]
    assert (copy.attempt, copy.fault) == (1, "redelivered")
    assert (copy.sent_at, copy.finished_at, copy.status) == (1_000, 1_001, 500)
    assert list(scene.broker.record.deliveries) == [(entry, copy)]


def test_end_of_a_delivery_beside_the_counted_ones_is_announced(scene):
    scene.subscribe(push=PUSHED)
    scene.publish()
    [lease] = scene.push()
    copy = scene.broker.add_delivery(lease, "redelivered")
    before = scene.rings
    scene.broker.end_delivery(lease, copy, status=204, error=None)
    assert scene.rings > before


def test_clearing_forgets_everything(scene):
    scene.subscribe(push=PUSHED, dead_letter=DeadLetterPolicy(topic=DEAD, max_delivery_attempts=1))
    scene.publish()
    scene.nack(*scene.push())
    record = scene.broker.record
    record.clear()
    assert [*record.finished, *record.deliveries, *record.dead_letters] == []
    assert record.last_pushed == {}
