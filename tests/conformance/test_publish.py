"""Publish: what it answers, where it goes, and each limit on both sides of its border."""

import pytest
from aiohttp import ClientResponseError
from gcloud.aio.pubsub import PubsubMessage
from google.api_core import exceptions

from .deliveries import PATIENCE, async_pulled, pulled


def test_message_ids_are_unique(publisher, topic):
    futures = [publisher.publish(topic, b"same") for _ in range(20)]
    assert len({future.result(PATIENCE) for future in futures}) == 20


# docs: reference/rest/v1/projects.topics/publish "in the same order as the messages"
async def test_message_ids_come_in_the_order_of_the_messages(
    async_publisher, subscriber, topic, subscription
):
    messages = [{"data": str(number).encode()} for number in range(10)]
    published = await async_publisher.publish(topic=topic, messages=messages)
    received = {
        one.message.message_id: one.message.data for one in pulled(subscriber, subscription, 10)
    }
    assert [received[one] for one in published.message_ids] == [one["data"] for one in messages]


def test_each_subscription_gets_each_message(publisher, subscriber, topic, subscribe):
    subscriptions = [subscribe(label) for label in ("a", "b", "c")]
    ids = {publisher.publish(topic, b"x").result(PATIENCE) for _ in range(2)}
    for subscription in subscriptions:
        received = pulled(subscriber, subscription, 2)
        assert {one.message.message_id for one in received} == ids


def test_acknowledgement_is_of_one_subscription_only(publisher, subscriber, topic, subscribe):
    acked, other = subscribe("acked"), subscribe("other")
    publisher.publish(topic, b"x").result(PATIENCE)
    [received] = pulled(subscriber, acked)
    subscriber.acknowledge(subscription=acked, ack_ids=[received.ack_id])
    [same] = pulled(subscriber, other)
    assert same.message.message_id == received.message.message_id


# docs: subscription-overview "only messages published after the subscription is created"
def test_subscription_gets_nothing_from_before_it_existed(publisher, subscriber, topic, subscribe):
    publisher.publish(topic, b"before").result(PATIENCE)
    subscription = subscribe()
    publisher.publish(topic, b"after").result(PATIENCE)
    assert [one.message.data for one in pulled(subscriber, subscription)] == [b"after"]


def test_publish_to_a_topic_without_subscriptions_is_accepted(publisher, topic):
    assert publisher.publish(topic, b"x").result(PATIENCE)


def test_attributes_alone_are_a_message(publisher, subscriber, topic, subscription):
    publisher.publish(topic, b"", colour="blue").result(PATIENCE)
    [received] = pulled(subscriber, subscription)
    assert received.message.data == b""
    assert dict(received.message.attributes) == {"colour": "blue"}


def test_data_alone_is_a_message(publisher, subscriber, topic, subscription):
    publisher.publish(topic, b"x").result(PATIENCE)
    [received] = pulled(subscriber, subscription)
    assert received.message.data == b"x"
    assert dict(received.message.attributes) == {}


# docs: reference/rest/v1/PubsubMessage "must contain either a non-empty data field or at least
# one attribute"
async def test_empty_message_is_refused(async_publisher, topic, invalid):
    with invalid("messages"):
        await async_publisher.publish(topic=topic, messages=[{}])


async def test_empty_message_is_400_for_gcloud_aio(aio_publisher, topic):
    with pytest.raises(ClientResponseError) as refused:
        await aio_publisher.publish(topic, [PubsubMessage(b"")])
    assert refused.value.status == 400


async def test_refused_request_publishes_none_of_its_messages(
    async_publisher, subscriber, topic, subscription
):
    with pytest.raises(exceptions.InvalidArgument):
        await async_publisher.publish(topic=topic, messages=[{"data": b"good"}, {}])
    await async_publisher.publish(topic=topic, messages=[{"data": b"next"}])
    assert [one.message.data for one in pulled(subscriber, subscription)] == [b"next"]


def test_every_byte_comes_through(publisher, subscriber, topic, subscription):
    data = bytes(range(256))
    publisher.publish(topic, data).result(PATIENCE)
    [received] = pulled(subscriber, subscription)
    assert received.message.data == data


def test_unicode_attributes_come_through(publisher, subscriber, topic, subscription):
    attributes = {"größe": "größer ✓", "empty": ""}
    publisher.publish(topic, b"x", **attributes).result(PATIENCE)
    [received] = pulled(subscriber, subscription)
    assert dict(received.message.attributes) == attributes


# Limits; docs: quotas#resource_limits, publisher#using-attributes

PLENTY = {
    "100 attributes": {"attributes": {f"k{number}": "v" for number in range(100)}},
    "key of 256 bytes": {"attributes": {"k" * 256: "v"}},
    "key of 256 bytes in 128 letters": {"attributes": {"ö" * 128: "v"}},
    "value of 1,024 bytes": {"attributes": {"k": "v" * 1024}},
    "value of 1,024 bytes in 512 letters": {"attributes": {"k": "ö" * 512}},
    "key that starts with googclient_": {"attributes": {"googclient_traceparent": "v"}},
    "key with goog further on": {"attributes": {"k-goog": "v"}},
    "ordering key of 1,024 bytes": {"ordering_key": "k" * 1024},
    "data of almost 10 MB": {"data": b"x" * 9_999_000},
}
TOO_MUCH = {
    "101 attributes": {"attributes": {f"k{number}": "v" for number in range(101)}},
    "key of 257 bytes": {"attributes": {"k" * 257: "v"}},
    "key of 258 bytes in 129 letters": {"attributes": {"ö" * 129: "v"}},
    "value of 1,025 bytes": {"attributes": {"k": "v" * 1025}},
    "value of 1,026 bytes in 513 letters": {"attributes": {"k": "ö" * 513}},
    "key that starts with goog": {"attributes": {"googlish": "v"}},
    "ordering key of 1,025 bytes": {"ordering_key": "k" * 1025},
    "data over 10 MB": {"data": b"x" * 10_000_001},
}


@pytest.mark.parametrize("fields", PLENTY.values(), ids=PLENTY)
async def test_published_with(async_publisher, topic, fields):
    published = await async_publisher.publish(topic=topic, messages=[{"data": b"x", **fields}])
    assert len(published.message_ids) == 1


@pytest.mark.parametrize("fields", TOO_MUCH.values(), ids=TOO_MUCH)
async def test_refused_with(async_publisher, topic, invalid, fields):
    with invalid("messages"):
        await async_publisher.publish(topic=topic, messages=[{"data": b"x", **fields}])


async def test_thousand_messages_a_request(async_publisher, topic):
    published = await async_publisher.publish(topic=topic, messages=[{"data": b"x"}] * 1000)
    assert len(set(published.message_ids)) == 1000


@pytest.mark.parametrize("number", [0, 1001])
async def test_number_of_messages_beyond_the_limit(async_publisher, topic, invalid, number):
    with invalid("messages"):
        await async_publisher.publish(topic=topic, messages=[{"data": b"x"}] * number)


async def test_ten_megabytes_are_a_requests_limit_not_only_a_messages(
    async_publisher, topic, invalid
):
    with invalid("messages"):
        await async_publisher.publish(topic=topic, messages=[{"data": b"x" * 2_500_000}] * 4)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_request_over_ten_megabytes_is_400_for_gcloud_aio(aio_publisher, topic):
    with pytest.raises(ClientResponseError) as refused:
        await aio_publisher.publish(topic, [PubsubMessage(b"x" * 10_000_001)])
    assert refused.value.status == 400


async def test_message_of_almost_ten_megabytes_comes_through(
    publisher, aio_subscriber, topic, subscription
):
    data = b"x" * 9_999_000
    publisher.publish(topic, data).result(PATIENCE)
    [received] = await async_pulled(aio_subscriber, subscription)
    assert received.data == data
