"""Ordering keys; docs: ordering, subscription-overview#message_ordering."""

import pytest
from aiohttp import ClientResponseError
from gcloud.aio.pubsub import PubsubMessage
from google.api_core import exceptions
from google.cloud import pubsub_v1

from .deliveries import PATIENCE, pulled


@pytest.fixture
def ordered(subscribe):
    return subscribe("ordered", enable_message_ordering=True)


async def publish(publisher, topic, key, *data):
    """One after the other, all with the key."""
    for one in data:
        await publisher.publish(topic=topic, messages=[{"data": one, "ordering_key": key}])


def drained(subscriber, subscription, count):
    """The data of so many messages in the order they came, each acknowledged."""
    order = []
    while len(order) < count:
        for received in pulled(subscriber, subscription):
            order.append(received.message.data)
            subscriber.acknowledge(subscription=subscription, ack_ids=[received.ack_id])
    return order


def nack(subscriber, subscription, received):
    subscriber.modify_ack_deadline(
        subscription=subscription,
        ack_ids=[one.ack_id for one in received],
        ack_deadline_seconds=0,
    )


async def test_messages_of_a_key_come_in_order(async_publisher, subscriber, topic, ordered):
    data = [b"%d" % number for number in range(10)]
    await publish(async_publisher, topic, "k", *data)
    assert drained(subscriber, ordered, 10) == data


async def test_messages_of_one_request_come_in_order(async_publisher, subscriber, topic, ordered):
    data = [b"%d" % number for number in range(10)]
    messages = [{"data": one, "ordering_key": "k"} for one in data]
    await async_publisher.publish(topic=topic, messages=messages)
    assert drained(subscriber, ordered, 10) == data


def test_sync_client_publishes_in_order(subscriber, topic, ordered):
    options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    publisher = pubsub_v1.PublisherClient(publisher_options=options)
    data = [b"%d" % number for number in range(10)]
    futures = [publisher.publish(topic, one, ordering_key="k") for one in data]
    for future in futures:
        future.result(PATIENCE)
    publisher.stop()
    publisher.transport.close()
    assert drained(subscriber, ordered, 10) == data


async def test_each_key_has_its_own_order(async_publisher, subscriber, topic, ordered):
    for one in (b"1", b"2", b"3"):
        await publish(async_publisher, topic, "a", b"a" + one)
        await publish(async_publisher, topic, "b", b"b" + one)
    order = drained(subscriber, ordered, 6)
    assert [one for one in order if one.startswith(b"a")] == [b"a1", b"a2", b"a3"]
    assert [one for one in order if one.startswith(b"b")] == [b"b1", b"b2", b"b3"]


async def test_key_comes_with_the_message(async_publisher, subscriber, topic, ordered):
    await publish(async_publisher, topic, "k", b"x")
    [received] = pulled(subscriber, ordered)
    assert received.message.ordering_key == "k"


async def test_key_comes_without_ordering_too(async_publisher, subscriber, topic, subscription):
    await publish(async_publisher, topic, "k", b"x")
    [received] = pulled(subscriber, subscription)
    assert received.message.ordering_key == "k"


async def test_outstanding_message_does_not_block_another_key(
    async_publisher, subscriber, topic, ordered
):
    await publish(async_publisher, topic, "a", b"a1")
    pulled(subscriber, ordered)
    await publish(async_publisher, topic, "b", b"b1")
    assert [one.message.data for one in pulled(subscriber, ordered)] == [b"b1"]


async def test_outstanding_message_does_not_block_those_without_a_key(
    async_publisher, subscriber, topic, ordered
):
    await publish(async_publisher, topic, "a", b"a1")
    pulled(subscriber, ordered)
    await publish(async_publisher, topic, "", b"free")
    assert [one.message.data for one in pulled(subscriber, ordered)] == [b"free"]


async def test_outstanding_message_blocks_its_own_key(async_publisher, subscriber, topic, ordered):
    await publish(async_publisher, topic, "a", b"a1")
    [first] = pulled(subscriber, ordered)
    await publish(async_publisher, topic, "a", b"a2")
    await publish(async_publisher, topic, "b", b"b1")
    assert [one.message.data for one in pulled(subscriber, ordered)] == [b"b1"]
    subscriber.acknowledge(subscription=ordered, ack_ids=[first.ack_id])
    assert [one.message.data for one in pulled(subscriber, ordered)] == [b"a2"]


async def test_unordered_subscription_is_not_blocked(
    async_publisher, subscriber, topic, subscription
):
    await publish(async_publisher, topic, "a", b"a1")
    pulled(subscriber, subscription)
    await publish(async_publisher, topic, "a", b"a2")
    assert [one.message.data for one in pulled(subscriber, subscription)] == [b"a2"]


# docs: ordering#redelivery "Pub/Sub also redelivers all subsequent messages with the same key"
async def test_nacked_messages_come_again_in_order(async_publisher, subscriber, topic, ordered):
    await publish(async_publisher, topic, "k", b"1", b"2", b"3")
    nack(subscriber, ordered, pulled(subscriber, ordered))
    assert drained(subscriber, ordered, 3) == [b"1", b"2", b"3"]


async def test_nacked_message_comes_before_later_ones_of_its_key(
    async_publisher, subscriber, topic, ordered
):
    await publish(async_publisher, topic, "k", b"1")
    received = pulled(subscriber, ordered)
    await publish(async_publisher, topic, "k", b"2")
    nack(subscriber, ordered, received)
    assert drained(subscriber, ordered, 2) == [b"1", b"2"]


# docs: reference/rest/v1/PubsubMessage "All PubsubMessages published in a given PublishRequest
# must specify the same orderingKey value." Google answers FAILED_PRECONDITION.
@pytest.mark.parametrize("keys", [("a", "b"), ("a", "")], ids=["two keys", "a key and none"])
async def test_request_of_several_keys_is_refused(async_publisher, topic, keys):
    messages = [{"data": b"x", "ordering_key": key} for key in keys]
    with pytest.raises(exceptions.FailedPrecondition):
        await async_publisher.publish(topic=topic, messages=messages)


async def test_request_of_several_keys_is_400_for_gcloud_aio(aio_publisher, topic):
    messages = [PubsubMessage(b"x", ordering_key=key) for key in ("a", "b")]
    with pytest.raises(ClientResponseError) as refused:
        await aio_publisher.publish(topic, messages)
    assert refused.value.status == 400
