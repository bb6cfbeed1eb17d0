"""The way of a message with each client as it comes, and with two of them at once."""

import pytest
from aiohttp import ClientResponseError
from gcloud.aio.pubsub import PubsubMessage
from google.api_core import exceptions

from .deliveries import PATIENCE, async_pulled, pulled


def test_sync_clients_create_publish_pull_and_acknowledge(publisher, subscriber, names):
    publisher.create_topic(name=names.topic())
    subscriber.create_subscription(name=names.subscription(), topic=names.topic())
    message_id = publisher.publish(names.topic(), b"hello", colour="blue").result(PATIENCE)

    [received] = pulled(subscriber, names.subscription())
    subscriber.acknowledge(subscription=names.subscription(), ack_ids=[received.ack_id])

    assert received.message.message_id == message_id
    assert received.message.data == b"hello"
    assert dict(received.message.attributes) == {"colour": "blue"}


async def test_async_clients_create_publish_pull_and_acknowledge(
    async_publisher, async_subscriber, names
):
    await async_publisher.create_topic(name=names.topic())
    await async_subscriber.create_subscription(name=names.subscription(), topic=names.topic())
    message = {"data": b"hello", "attributes": {"colour": "blue"}}
    published = await async_publisher.publish(topic=names.topic(), messages=[message])

    [received] = await async_pulled(async_subscriber, names.subscription())
    await async_subscriber.acknowledge(subscription=names.subscription(), ack_ids=[received.ack_id])

    assert [received.message.message_id] == list(published.message_ids)
    assert received.message.data == b"hello"
    assert dict(received.message.attributes) == {"colour": "blue"}


async def test_gcloud_aio_clients_create_publish_pull_and_acknowledge(
    aio_publisher, aio_subscriber, names
):
    await aio_publisher.create_topic(names.topic())
    await aio_subscriber.create_subscription(names.subscription(), names.topic())
    published = await aio_publisher.publish(names.topic(), [PubsubMessage(b"hello", colour="blue")])

    [received] = await async_pulled(aio_subscriber, names.subscription())
    await aio_subscriber.acknowledge(names.subscription(), [received.ack_id])

    assert published == {"messageIds": [received.message_id]}
    assert received.data == b"hello"
    assert received.attributes == {"colour": "blue"}


async def test_topic_made_over_rest_is_seen_over_grpc(aio_publisher, publisher, names):
    await aio_publisher.create_topic(names.topic(), {"labels": {"made": "rest"}})
    assert dict(publisher.get_topic(topic=names.topic()).labels) == {"made": "rest"}


async def test_subscription_made_over_grpc_is_seen_over_rest(aio_subscriber, subscribe, topic):
    name = subscribe(ack_deadline_seconds=33, labels={"made": "grpc"})
    seen = await aio_subscriber.get_subscription(name)
    assert (seen["name"], seen["topic"]) == (name, topic)
    assert seen["ackDeadlineSeconds"] == 33
    assert seen["labels"] == {"made": "grpc"}


async def test_message_published_over_rest_is_pulled_over_grpc(
    aio_publisher, subscriber, topic, subscription
):
    await aio_publisher.publish(topic, [PubsubMessage(b"\x00\xff", colour="blue")])
    [received] = pulled(subscriber, subscription)
    assert received.message.data == b"\x00\xff"
    assert dict(received.message.attributes) == {"colour": "blue"}


async def test_message_published_over_grpc_is_pulled_over_rest(
    publisher, aio_subscriber, topic, subscription
):
    message_id = publisher.publish(topic, b"\x00\xff", colour="blue").result(PATIENCE)
    [received] = await async_pulled(aio_subscriber, subscription)
    assert received.message_id == message_id
    assert received.data == b"\x00\xff"


async def test_ack_id_of_one_transport_nacks_over_the_other(
    publisher, subscriber, aio_subscriber, topic, subscription
):
    publisher.publish(topic, b"x").result(PATIENCE)
    [first] = pulled(subscriber, subscription)
    await aio_subscriber.modify_ack_deadline(subscription, [first.ack_id], 0)
    [second] = pulled(subscriber, subscription)
    assert second.message.message_id == first.message.message_id


def test_topic_deleted_over_grpc_is_gone_for_the_sync_client(publisher, topic):
    publisher.delete_topic(topic=topic)
    with pytest.raises(exceptions.NotFound):
        publisher.get_topic(topic=topic)


async def test_subscription_deleted_over_rest_is_gone_over_grpc(
    aio_subscriber, async_subscriber, subscription
):
    await aio_subscriber.delete_subscription(subscription)
    with pytest.raises(exceptions.NotFound):
        await async_subscriber.get_subscription(subscription=subscription)


async def test_topic_deleted_over_rest_is_gone_over_both(aio_publisher, publisher, topic):
    await aio_publisher.delete_topic(topic)
    with pytest.raises(ClientResponseError) as refused:
        await aio_publisher.delete_topic(topic)
    assert refused.value.status == 404
    with pytest.raises(exceptions.NotFound):
        publisher.get_topic(topic=topic)
