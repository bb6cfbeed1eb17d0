"""What happens once an ack deadline of ten seconds, the least there is, has passed.

All of it is watched at once, so that it takes the ten seconds once.
docs: reference/rest/v1/projects.subscriptions#resource:-subscription ackDeadlineSeconds
"""

import asyncio
import time

import pytest_asyncio
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient

from .conftest import transport
from .deliveries import async_pulled, serving_sink
from .endpoint import temporary_names

ABOUT_TEN = 9.0  # seconds; the deadline of ten may have begun before we saw the message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(endpoint, publisher, subscriber):
    with (
        endpoint.environment(),
        temporary_names(endpoint, publisher, subscriber) as names,
    ):
        yield await watch(endpoint, names)


async def watch(endpoint, names):
    publisher = PublisherAsyncClient(transport=transport(PublisherAsyncClient, endpoint))
    subscriber = SubscriberAsyncClient(transport=transport(SubscriberAsyncClient, endpoint))
    passed = asyncio.Event()
    async with serving_sink(endpoint) as sink:
        sink.held.clear()
        watchers = {
            "unacked": unacked(subscriber, names.subscription("unacked"), passed),
            "counted": again(subscriber, names.subscription("counted")),
            "shortened": shortened(subscriber, names.subscription("shortened")),
            "acked": acked(subscriber, names.subscription("acked"), passed),
            "extended": extended(subscriber, names.subscription("extended"), passed),
        }
        policy = {"dead_letter_topic": names.topic()}
        fields = {"counted": {"dead_letter_policy": policy}}
        if endpoint.has("PUBSUB_CONFORMANCE_PUSH_URL"):
            watchers["pushed"] = pushed(sink)
            fields["pushed"] = {"push_config": {"push_endpoint": sink.url}}
        await publisher.create_topic(name=names.topic())
        for label in watchers:
            request = {"name": names.subscription(label), "topic": names.topic()}
            await subscriber.create_subscription(request=request | fields.get(label, {}))
        await publisher.publish(topic=names.topic(), messages=[{"data": b"x"}])
        results = await asyncio.gather(*watchers.values())
    await publisher.transport.close()
    await subscriber.transport.close()
    return dict(zip(watchers, results, strict=True))


async def again(subscriber, subscription):
    """The first delivery, the second, and the seconds between."""
    [first] = await async_pulled(subscriber, subscription)
    began = time.monotonic()
    [second] = await async_pulled(subscriber, subscription)
    return first, second, time.monotonic() - began


async def unacked(subscriber, subscription, passed):
    first, second, elapsed = await again(subscriber, subscription)
    passed.set()
    # "Acknowledging a message whose ack deadline has expired may succeed": it is no error.
    await subscriber.acknowledge(subscription=subscription, ack_ids=[first.ack_id])
    return first, second, elapsed


async def shortened(subscriber, subscription):
    [first] = await async_pulled(subscriber, subscription)
    began = time.monotonic()
    await subscriber.modify_ack_deadline(
        subscription=subscription, ack_ids=[first.ack_id], ack_deadline_seconds=1
    )
    await async_pulled(subscriber, subscription)
    return time.monotonic() - began


async def acked(subscriber, subscription, passed):
    [first] = await async_pulled(subscriber, subscription)
    await subscriber.acknowledge(subscription=subscription, ack_ids=[first.ack_id])
    await passed.wait()
    return (await subscriber.pull(subscription=subscription, max_messages=1)).received_messages


async def extended(subscriber, subscription, passed):
    [first] = await async_pulled(subscriber, subscription)
    await subscriber.modify_ack_deadline(
        subscription=subscription, ack_ids=[first.ack_id], ack_deadline_seconds=60
    )
    await passed.wait()
    return (await subscriber.pull(subscription=subscription, max_messages=1)).received_messages


async def pushed(sink):
    await sink.received(2)
    sink.held.set()
    return sink.pushes


def test_unacknowledged_message_comes_again(seen):
    first, second, _ = seen["unacked"]
    assert second.message == first.message


def test_unacknowledged_message_does_not_come_before_its_deadline(seen):
    _, _, elapsed = seen["unacked"]
    assert elapsed >= ABOUT_TEN


def test_acknowledged_message_does_not_come_again(seen):
    assert not seen["acked"]


def test_extended_deadline_holds_the_message_back(seen):
    assert not seen["extended"]


def test_shortened_deadline_brings_the_message_sooner(seen):
    assert seen["shortened"] < ABOUT_TEN


# docs: reference/rest/v1/projects.subscriptions/pull#receivedmessage
# "1 + (number of NACKs) + (number of ack_deadline exceeds)"
def test_passed_deadline_counts_as_an_attempt(seen, needs):
    needs("PUBSUB_CONFORMANCE_DEAD_LETTERS")
    first, second, _ = seen["counted"]
    assert first.delivery_attempt == 1
    assert second.delivery_attempt > 1


# docs: push#receive_push "this value is also used to set the request timeout for the call"
def test_push_without_an_answer_is_pushed_again(seen, needs):
    needs("PUBSUB_CONFORMANCE_PUSH_URL")
    first, second, *_ = seen["pushed"]
    assert second.message == first.message
    assert second.at - first.at >= ABOUT_TEN
