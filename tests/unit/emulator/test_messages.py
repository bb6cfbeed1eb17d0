"""What may be published, and what a pull gives."""

import pytest
from google.pubsub_v1 import types

from asgi_tasks.emulator.api import messages
from asgi_tasks.emulator.broker.model import DeadLetterPolicy
from asgi_tasks.emulator.errors import InvalidArgument
from tests.unit.emulator.scene import DEAD, SUB, TOPIC


def read(*published):
    request = types.PublishRequest(topic=TOPIC, messages=published)
    return messages.read(types.PublishRequest.pb(request))


def test_published_message_is_read():
    [draft] = read({"data": b"x", "attributes": {"a": "b"}, "ordering_key": "k"})
    assert (draft.data, draft.attributes, draft.ordering_key) == (b"x", {"a": "b"}, "k")


def test_messages_are_read_in_order():
    assert [draft.data for draft in read({"data": b"1"}, {"data": b"2"})] == [b"1", b"2"]


@pytest.mark.parametrize(
    "message",
    [
        {"attributes": {"a": ""}},
        {"data": b"x", "ordering_key": "k" * 1024},
        {"data": b"x", "attributes": {"googclient_traceparent": "00"}},
        {"data": b"x", "attributes": {"k" * 256: "v" * 1024}},
        {"data": b"x", "attributes": {str(number): "" for number in range(100)}},
        {"data": b"x" * 9_999_000},
    ],
)
def test_message_at_its_limits_is_taken(message):
    assert len(read(message)) == 1


def test_thousand_messages_are_taken():
    assert len(read(*[{"data": b"x"}] * 1_000)) == 1_000


@pytest.mark.parametrize(
    ("published", "named"),
    [
        ([], "messages"),
        ([{"data": b"x"}] * 1_001, "messages"),
        ([{"data": b"x" * 10_000_001}], "messages"),
        ([{"ordering_key": "a"}], "messages"),
        ([{"data": b"x"}, {}], "messages"),
        ([{"data": b"x", "ordering_key": "é" * 513}], "messages.ordering_key"),
        ([{"attributes": {str(number): "" for number in range(101)}}], "messages.attributes"),
        ([{"attributes": {"": "x"}}], "messages.attributes"),
        ([{"attributes": {"é" * 129: "x"}}], "messages.attributes"),
        ([{"attributes": {"a": "é" * 513}}], "messages.attributes"),
        ([{"attributes": {"goog-x": "x"}}], "messages.attributes"),
    ],
)
def test_wrong_message_is_refused_by_name(published, named):
    with pytest.raises(InvalidArgument) as refused:
        read(*published)
    assert refused.value.message.startswith(f"{named}: ")


@pytest.mark.parametrize("policy", [None, DeadLetterPolicy(topic=DEAD)])
def test_delivery_attempt_is_told_only_with_a_dead_letter_policy(scene, policy):
    scene.subscribe(dead_letter=policy)
    scene.publish()
    scene.nack_next()
    [lease] = scene.lease()
    received = messages.write(scene.broker.subscription(SUB), lease)
    assert received.delivery_attempt == (2 if policy else 0)


def test_pulled_message_is_the_one_published(scene):
    scene.subscribe()
    scene.wait(0.5)
    published = scene.publish(b"hello", key="k", colour="blue")
    [lease] = scene.lease()
    received = messages.write(scene.broker.subscription(SUB), lease)
    message = types.PubsubMessage.wrap(received.message)
    assert received.ack_id == lease.ack_id
    assert (message.message_id, message.data, message.ordering_key) == (published, b"hello", "k")
    assert dict(message.attributes) == {"colour": "blue"}
    assert received.message.publish_time.ToMicroseconds() == 1_000_500_000
