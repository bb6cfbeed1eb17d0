"""Pull, Acknowledge, ModifyAckDeadline. What takes an ack deadline is in test_deadlines.py."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from .deliveries import PATIENCE, async_pulled, pulled


def nack(subscriber, subscription, *received):
    subscriber.modify_ack_deadline(
        subscription=subscription,
        ack_ids=[one.ack_id for one in received],
        ack_deadline_seconds=0,
    )


def test_pulled_message_has_all_its_fields(publisher, subscriber, topic, subscription):
    message_id = publisher.publish(topic, b"hello", colour="blue").result(PATIENCE)
    [received] = pulled(subscriber, subscription)
    assert received.ack_id
    assert received.message.message_id == message_id
    assert received.message.data == b"hello"
    assert dict(received.message.attributes) == {"colour": "blue"}
    assert received.message.ordering_key == ""


def test_publish_time_is_the_servers(publisher, subscriber, topic, subscription):
    publisher.publish(topic, b"x").result(PATIENCE)
    [received] = pulled(subscriber, subscription)
    age = datetime.now(UTC) - received.message.publish_time
    assert abs(age) < timedelta(seconds=PATIENCE)


# docs: reference/rest/v1/projects.subscriptions/pull "may return fewer than the number specified"
def test_pull_gives_no_more_than_asked_for(publisher, subscriber, topic, subscription):
    for _ in range(5):
        publisher.publish(topic, b"x").result(PATIENCE)
    [first] = pulled_once(subscriber, subscription, max_messages=1)
    more = pulled_once(subscriber, subscription, max_messages=2)
    assert 1 <= len(more) <= 2
    assert first.message.message_id not in {one.message.message_id for one in more}


def pulled_once(subscriber, subscription, max_messages):
    """The first answer that is not empty."""
    until = time.monotonic() + PATIENCE
    while True:
        pull = subscriber.pull(subscription=subscription, max_messages=max_messages)
        if pull.received_messages:
            return pull.received_messages
        assert time.monotonic() < until


def test_outstanding_message_is_not_pulled_again(publisher, subscriber, topic, subscription):
    publisher.publish(topic, b"first").result(PATIENCE)
    pulled(subscriber, subscription)
    publisher.publish(topic, b"second").result(PATIENCE)
    assert [one.message.data for one in pulled(subscriber, subscription)] == [b"second"]


def test_two_subscribers_share_a_subscriptions_messages(publisher, subscriber, topic, subscription):
    ids = {publisher.publish(topic, b"x").result(PATIENCE) for _ in range(10)}
    with ThreadPoolExecutor() as pool:
        halves = [pool.submit(pulled_once, subscriber, subscription, 5) for _ in range(2)]
        received = [one.message.message_id for half in halves for one in half.result()]
    assert len(received) == len(set(received))
    assert set(received) <= ids


def test_nacked_message_comes_again(publisher, subscriber, topic, subscription):
    publisher.publish(topic, b"x", colour="blue").result(PATIENCE)
    [first] = pulled(subscriber, subscription)
    nack(subscriber, subscription, first)
    [second] = pulled(subscriber, subscription)
    assert second.message == first.message


async def test_message_nacked_by_the_async_client_comes_again(
    publisher, async_subscriber, topic, subscription
):
    publisher.publish(topic, b"x").result(PATIENCE)
    [first] = await async_pulled(async_subscriber, subscription)
    await async_subscriber.modify_ack_deadline(
        subscription=subscription, ack_ids=[first.ack_id], ack_deadline_seconds=0
    )
    [second] = await async_pulled(async_subscriber, subscription)
    assert second.message.message_id == first.message.message_id


async def test_message_nacked_by_gcloud_aio_comes_again(
    publisher, aio_subscriber, topic, subscription
):
    publisher.publish(topic, b"x").result(PATIENCE)
    [first] = await async_pulled(aio_subscriber, subscription)
    await aio_subscriber.modify_ack_deadline(subscription, [first.ack_id], 0)
    [second] = await async_pulled(aio_subscriber, subscription)
    assert second.message_id == first.message_id


def test_nack_is_of_the_named_messages_only(publisher, subscriber, topic, subscription):
    for data in (b"a", b"b"):
        publisher.publish(topic, data).result(PATIENCE)
    received = {one.message.data: one for one in pulled(subscriber, subscription, 2)}
    nack(subscriber, subscription, received[b"a"])
    assert [one.message.data for one in pulled(subscriber, subscription)] == [b"a"]


def test_several_messages_are_settled_in_one_call(publisher, subscriber, topic, subscription):
    ids = {publisher.publish(topic, b"x").result(PATIENCE) for _ in range(3)}
    nack(subscriber, subscription, *pulled(subscriber, subscription, 3))
    again = pulled(subscriber, subscription, 3)
    subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in again])
    assert {one.message.message_id for one in again} == ids


# docs: reference/rest/v1/projects.subscriptions/acknowledge
# "Acknowledging a message more than once will not result in an error."
def test_message_may_be_acknowledged_twice(publisher, subscriber, topic, subscription):
    publisher.publish(topic, b"x").result(PATIENCE)
    [received] = pulled(subscriber, subscription)
    for _ in range(2):
        subscriber.acknowledge(subscription=subscription, ack_ids=[received.ack_id])


# docs: the same page, "Acknowledging a message whose ack deadline has expired may succeed"
def test_ack_id_of_an_earlier_delivery_is_no_error(publisher, subscriber, topic, subscription):
    publisher.publish(topic, b"x").result(PATIENCE)
    [first] = pulled(subscriber, subscription)
    nack(subscriber, subscription, first)
    pulled(subscriber, subscription)
    subscriber.acknowledge(subscription=subscription, ack_ids=[first.ack_id])


@pytest.mark.parametrize("deadline", [1, 10, 600])
def test_ack_deadline_can_be_modified_to(publisher, subscriber, topic, subscription, deadline):
    publisher.publish(topic, b"x").result(PATIENCE)
    [received] = pulled(subscriber, subscription)
    subscriber.modify_ack_deadline(
        subscription=subscription, ack_ids=[received.ack_id], ack_deadline_seconds=deadline
    )


# docs: reference/rest/v1/projects.subscriptions/pull "may wait (for a bounded amount of time)
# until at least one message is available"
async def test_waiting_pull_gets_what_is_published_meanwhile(
    async_publisher, async_subscriber, topic, subscription
):
    pulling = asyncio.create_task(async_pulled(async_subscriber, subscription))
    await asyncio.sleep(0)
    await async_publisher.publish(topic=topic, messages=[{"data": b"late"}])
    [received] = await pulling
    assert received.message.data == b"late"


async def test_empty_pull_is_an_empty_object_over_rest(rest, subscription):
    body = {"maxMessages": 1, "returnImmediately": True}
    async with rest.post(f"/v1/{subscription}:pull", json=body) as answer:
        assert (answer.status, await answer.json()) == (200, {})


# docs: reference/rest/v1/projects.subscriptions/pull#receivedmessage
# "If a DeadLetterPolicy is not set on the subscription, this will be 0."
def test_delivery_attempt_is_0_without_a_dead_letter_policy(
    publisher, subscriber, topic, subscription
):
    publisher.publish(topic, b"x").result(PATIENCE)
    [first] = pulled(subscriber, subscription)
    nack(subscriber, subscription, first)
    [second] = pulled(subscriber, subscription)
    assert (first.delivery_attempt, second.delivery_attempt) == (0, 0)


def test_delivery_attempts_are_counted_with_one(
    publisher, subscriber, topic, subscribe, dead_letters
):
    subscription = subscribe(dead_letter_policy=dead_letters)
    publisher.publish(topic, b"x").result(PATIENCE)
    [first] = pulled(subscriber, subscription)
    nack(subscriber, subscription, first)
    [second] = pulled(subscriber, subscription)
    assert first.delivery_attempt == 1
    assert second.delivery_attempt > 1


async def test_gcloud_aio_sees_the_delivery_attempt(
    publisher, aio_subscriber, topic, subscribe, dead_letters
):
    subscription = subscribe(dead_letter_policy=dead_letters)
    publisher.publish(topic, b"x").result(PATIENCE)
    [received] = await async_pulled(aio_subscriber, subscription)
    assert received.delivery_attempt == 1


# docs: handling-failures#how_dead_letter_topics_work
def test_message_nacked_too_often_is_forwarded(
    publisher, subscriber, topic, subscribe, dead_letters, names
):
    subscription = subscribe(dead_letter_policy=dead_letters)
    message_id = publisher.publish(topic, b"poison", colour="blue").result(PATIENCE)
    dead = names.subscription("dead")
    with ThreadPoolExecutor() as pool:
        forwarded = pool.submit(pulled, subscriber, dead)
        until = time.monotonic() + PATIENCE
        while not forwarded.done() and time.monotonic() < until:
            pull = subscriber.pull(subscription=subscription, max_messages=1)
            if pull.received_messages:
                nack(subscriber, subscription, *pull.received_messages)
    [received] = forwarded.result()

    attributes = dict(received.message.attributes)
    attempts = int(attributes.pop("CloudPubSubDeadLetterSourceDeliveryCount"))
    published = attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime")
    assert attempts >= 5
    assert datetime.fromisoformat(published).tzinfo
    assert attributes == {
        "colour": "blue",
        "CloudPubSubDeadLetterSourceSubscription": subscription.rpartition("/")[2],
        "CloudPubSubDeadLetterSourceSubscriptionProject": names.endpoint.project,
    }
    assert received.message.data == b"poison"
    assert received.message.message_id != message_id


# Google's own is best effort: "delay can be more or less than configured backoff".
@pytest.mark.emulator_only
def test_retry_policy_delays_a_nacked_message(publisher, subscriber, topic, subscribe):
    policy = {"minimum_backoff": timedelta(seconds=1), "maximum_backoff": timedelta(seconds=1)}
    subscription = subscribe(retry_policy=policy)
    publisher.publish(topic, b"x").result(PATIENCE)
    [first] = pulled(subscriber, subscription)
    nacked_at = time.monotonic()
    nack(subscriber, subscription, first)
    pulled(subscriber, subscription)
    assert time.monotonic() - nacked_at >= 0.9


@pytest.mark.emulator_only
def test_retry_policy_of_one_message_does_not_delay_another(
    publisher, subscriber, topic, subscribe
):
    policy = {"minimum_backoff": timedelta(seconds=600)}
    subscription = subscribe(retry_policy=policy)
    publisher.publish(topic, b"nacked").result(PATIENCE)
    nack(subscriber, subscription, *pulled(subscriber, subscription))
    publisher.publish(topic, b"other").result(PATIENCE)
    assert [one.message.data for one in pulled(subscriber, subscription)] == [b"other"]
