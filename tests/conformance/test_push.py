"""Push; docs: push, push#receive_push, authenticate-push-subscriptions, handling-failures."""

import asyncio
import base64
import socket
from datetime import datetime

import pytest

from .deliveries import PATIENCE, async_pulled, pulled, token_part


@pytest.fixture
def pushing(subscribe, sink):
    """Makes subscriptions that push to the sink."""

    def pushing(**fields):
        config = {"push_endpoint": sink.url} | fields.pop("push_config", {})
        return subscribe(push_config=config, **fields)

    return pushing


# Body and headers; docs: push#receive_push


async def test_push_body_is_the_wrapped_message(async_publisher, topic, pushing, sink):
    subscription = pushing()
    message = {"data": b"hello", "attributes": {"a": "b"}, "ordering_key": "k"}
    published = await async_publisher.publish(topic=topic, messages=[message])
    [push] = await sink.received()
    published_at = push.message["publishTime"]
    assert push.body == {
        "message": {
            "data": base64.b64encode(b"hello").decode(),
            "attributes": {"a": "b"},
            "messageId": published.message_ids[0],
            "message_id": published.message_ids[0],
            "publishTime": published_at,
            "publish_time": published_at,
            "orderingKey": "k",
        },
        "subscription": subscription,
    }
    assert datetime.fromisoformat(published_at).tzinfo


async def test_push_is_json(publisher, topic, pushing, sink):
    pushing()
    publisher.publish(topic, b"x").result(PATIENCE)
    [push] = await sink.received()
    assert push.headers["Content-Type"].partition(";")[0] == "application/json"
    assert int(push.headers["Content-Length"]) > 0


async def test_push_leaves_unset_fields_out(publisher, topic, pushing, sink):
    pushing()
    publisher.publish(topic, b"x").result(PATIENCE)
    [push] = await sink.received()
    assert set(push.body) == {"message", "subscription"}
    assert not {"attributes", "orderingKey"} & set(push.message)


async def test_push_of_attributes_alone_has_no_data(publisher, topic, pushing, sink):
    pushing()
    publisher.publish(topic, b"", a="b").result(PATIENCE)
    [push] = await sink.received()
    assert push.message.get("data", "") == ""
    assert push.message["attributes"] == {"a": "b"}


async def test_push_carries_every_byte(publisher, topic, pushing, sink):
    pushing()
    publisher.publish(topic, bytes(range(256))).result(PATIENCE)
    [push] = await sink.received()
    assert push.data == bytes(range(256))


async def test_push_carries_unicode_attributes(publisher, topic, pushing, sink):
    pushing()
    publisher.publish(topic, b"x", größe="größer ✓").result(PATIENCE)
    [push] = await sink.received()
    assert push.message["attributes"] == {"größe": "größer ✓"}


async def test_push_carries_a_message_of_almost_ten_megabytes(publisher, topic, pushing, sink):
    pushing()
    publisher.publish(topic, b"x" * 9_999_000).result(PATIENCE)
    [push] = await sink.received()
    assert len(push.data) == 9_999_000


async def test_each_message_is_a_push_of_its_own(async_publisher, topic, pushing, sink):
    pushing()
    messages = [{"data": b"%d" % number} for number in range(5)]
    await async_publisher.publish(topic=topic, messages=messages)
    pushes = await sink.received(5)
    assert {push.data for push in pushes} == {one["data"] for one in messages}


async def test_push_and_pull_subscriptions_each_get_the_message(
    publisher, subscriber, topic, subscribe, sink
):
    pulling = subscribe("pulling")
    subscribe("pushing", push_config={"push_endpoint": sink.url})
    message_id = publisher.publish(topic, b"x").result(PATIENCE)
    [push] = await sink.received()
    [received] = await asyncio.to_thread(pulled, subscriber, pulling)
    assert push.message["messageId"] == received.message.message_id == message_id


# Answers; docs: push#receive_push "102, 200, 201, 202, 204"

# The second message of an ordering key is pushed once the first has been acknowledged, and not
# before: if the second push is the first message again, that was not acknowledged.


async def pushes_after(publisher, topic, pushing, sink, status):
    pushing(enable_message_ordering=True)
    sink.answers = [status]
    for data in (b"first", b"second"):
        await publisher.publish(topic=topic, messages=[{"data": data, "ordering_key": "k"}])
    return [push.data for push in (await sink.received(2))[:2]]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_acknowledging_status(async_publisher, topic, pushing, sink, status):
    pushes = await pushes_after(async_publisher, topic, pushing, sink, status)
    assert pushes == [b"first", b"second"]


@pytest.mark.parametrize(
    "status", [203, 205, 206, 301, 302, 400, 401, 403, 404, 409, 410, 429, 500, 502, 503, 504]
)
async def test_any_other_status_is_a_nack(publisher, topic, pushing, sink, status):
    pushing()
    sink.answers = [status]
    message_id = publisher.publish(topic, b"x").result(PATIENCE)
    pushes = await sink.received(2)
    assert [push.message["messageId"] for push in pushes[:2]] == [message_id] * 2


async def test_repeated_push_is_the_same_message(publisher, topic, pushing, sink):
    pushing()
    sink.answers = [500]
    publisher.publish(topic, b"x", a="b").result(PATIENCE)
    first, second, *_ = await sink.received(2)
    assert second.body == first.body


async def test_message_is_pushed_until_it_is_acknowledged(publisher, topic, pushing, sink):
    pushing()
    sink.answers = [500] * 3
    publisher.publish(topic, b"x").result(PATIENCE)
    pushes = await sink.received(4)
    assert len({push.message["messageId"] for push in pushes}) == 1


async def test_refused_connection_is_a_nack(publisher, subscriber, topic, subscribe, sink):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/push"
    subscription = subscribe(push_config={"push_endpoint": nobody})
    publisher.publish(topic, b"x").result(PATIENCE)
    subscriber.modify_push_config(
        subscription=subscription, push_config={"push_endpoint": sink.url}
    )
    [push] = await sink.received()
    assert push.data == b"x"


async def test_failing_message_does_not_hold_up_another(publisher, topic, subscribe, sink, pushing):
    pushing(retry_policy={"minimum_backoff": {"seconds": 600}})
    sink.answers = [500]
    publisher.publish(topic, b"failing").result(PATIENCE)
    await sink.received()
    publisher.publish(topic, b"other").result(PATIENCE)
    pushes = await sink.received(2)
    assert [push.data for push in pushes] == [b"failing", b"other"]


# Google's own is best effort: "delay can be more or less than configured backoff".
@pytest.mark.emulator_only
async def test_retry_policy_delays_the_next_push(publisher, topic, pushing, sink):
    pushing(retry_policy={"minimum_backoff": {"seconds": 1}, "maximum_backoff": {"seconds": 1}})
    sink.answers = [500]
    publisher.publish(topic, b"x").result(PATIENCE)
    first, second = await sink.received(2)
    assert second.at - first.at >= 0.9


# Tokens; docs: authenticate-push-subscriptions#jwt-format


@pytest.fixture
async def push_with_token(publisher, topic, pushing, sink, account):
    pushing(push_config={"oidc_token": {"service_account_email": account}})
    publisher.publish(topic, b"x").result(PATIENCE)
    [push] = await sink.received()
    return push


async def test_token_is_a_signed_jwt(push_with_token):
    header = token_part(push_with_token.token, 0)
    assert push_with_token.token.count(".") == 2
    assert (header["alg"], header["typ"]) == ("RS256", "JWT")
    assert header["kid"]


async def test_token_names_issuer_and_account(push_with_token, account):
    claims = push_with_token.claims
    assert claims["iss"] == "https://accounts.google.com"
    assert (claims["email"], claims["email_verified"]) == (account, True)
    assert claims["sub"].isdecimal()
    assert claims["azp"]


async def test_token_lives_for_an_hour(push_with_token):
    claims = push_with_token.claims
    assert claims["exp"] - claims["iat"] == 3600


# docs: reference/rest/v1/projects.subscriptions#oidctoken
# "if not specified, the Push endpoint URL will be used"
async def test_audience_is_the_endpoint_by_default(push_with_token, sink):
    assert push_with_token.claims["aud"] == sink.url


async def test_audience_is_the_configured_one(publisher, topic, pushing, sink, account):
    token = {"service_account_email": account, "audience": "https://example.com/tasks"}
    pushing(push_config={"oidc_token": token})
    publisher.publish(topic, b"x").result(PATIENCE)
    [push] = await sink.received()
    assert push.claims["aud"] == "https://example.com/tasks"


async def test_push_without_an_account_has_no_token(publisher, topic, pushing, sink):
    pushing()
    publisher.publish(topic, b"x").result(PATIENCE)
    [push] = await sink.received()
    assert "Authorization" not in push.headers


def test_token_without_an_account_is_refused(subscribe, invalid):
    token = {"audience": "https://example.com/"}
    with invalid("oidc_token.service_account_email"):
        subscribe(push_config={"push_endpoint": "https://example.com/", "oidc_token": token})


# Dead letters; docs: handling-failures#dead_letter_topic


async def test_push_has_no_attempt_without_a_dead_letter_policy(publisher, topic, pushing, sink):
    pushing()
    sink.answers = [500]
    publisher.publish(topic, b"x").result(PATIENCE)
    pushes = await sink.received(2)
    assert not any("deliveryAttempt" in push.body for push in pushes)


async def test_push_counts_its_attempts_with_one(publisher, topic, pushing, sink, dead_letters):
    pushing(dead_letter_policy=dead_letters)
    sink.answers = [500, 400]
    publisher.publish(topic, b"x").result(PATIENCE)
    pushes = await sink.received(3)
    assert [push.body["deliveryAttempt"] for push in pushes[:3]] == [1, 2, 3]


@pytest.fixture
async def forwarded(publisher, async_subscriber, topic, pushing, sink, dead_letters, names):
    """The message that came out of the dead-letter topic."""
    pushing(dead_letter_policy=dead_letters)
    sink.answers = [500] * 100
    publisher.publish(topic, b"poison", colour="blue").result(PATIENCE)
    [received] = await async_pulled(async_subscriber, names.subscription("dead"))
    return received.message


async def test_message_nacked_too_often_is_forwarded(forwarded, sink):
    assert forwarded.data == b"poison"
    assert forwarded.attributes["colour"] == "blue"
    assert len(sink.pushes) >= 5


async def test_dead_letter_tells_where_it_is_from(forwarded, names):
    prefix = "CloudPubSubDeadLetterSource"
    source = {
        key.removeprefix(prefix): value
        for key, value in forwarded.attributes.items()
        if key.startswith(prefix)
    }
    assert int(source.pop("DeliveryCount")) >= 5
    assert datetime.fromisoformat(source.pop("TopicPublishTime")).tzinfo
    assert source == {
        "Subscription": names.subscription().rpartition("/")[2],
        "SubscriptionProject": names.endpoint.project,
    }


async def test_dead_letter_is_a_message_of_its_own(forwarded, sink):
    assert forwarded.message_id != sink.pushes[0].message["messageId"]


async def test_forwarded_message_is_pushed_no_more(async_publisher, topic, forwarded, sink):
    before = len(sink.pushes)
    sink.answers = []
    await async_publisher.publish(topic=topic, messages=[{"data": b"next"}])
    pushes = await sink.received(before + 1)
    assert [push.data for push in pushes[before:]] == [b"next"]


# Between push and pull; docs: reference/rest/v1/projects.subscriptions/modifyPushConfig
# "Messages will accumulate for delivery continuously through the call"


async def test_backlog_of_a_pull_subscription_is_pushed_once_it_pushes(
    publisher, subscriber, topic, subscription, sink
):
    publisher.publish(topic, b"waiting").result(PATIENCE)
    subscriber.modify_push_config(
        subscription=subscription, push_config={"push_endpoint": sink.url}
    )
    [push] = await sink.received()
    assert push.data == b"waiting"


async def test_nacked_push_can_be_pulled_once_it_pulls(
    publisher, async_subscriber, topic, pushing, sink
):
    subscription = pushing()
    sink.answers = [500] * 1000
    message_id = publisher.publish(topic, b"x").result(PATIENCE)
    await sink.received()
    await async_subscriber.modify_push_config(subscription=subscription, push_config={})
    [received] = await async_pulled(async_subscriber, subscription)
    assert received.message.message_id == message_id


async def test_update_of_the_push_config_moves_the_pushes(
    publisher, async_subscriber, topic, subscription, sink
):
    await async_subscriber.update_subscription(
        subscription={"name": subscription, "push_config": {"push_endpoint": sink.url}},
        update_mask={"paths": ["push_config"]},
    )
    publisher.publish(topic, b"x").result(PATIENCE)
    [push] = await sink.received()
    assert push.data == b"x"


# Ordering; docs: ordering#receive_messages_in_order "one outstanding message per ordering key"


async def test_pushes_of_a_key_come_in_order(async_publisher, topic, pushing, sink):
    pushing(enable_message_ordering=True)
    data = [b"%d" % number for number in range(5)]
    for one in data:
        await async_publisher.publish(topic=topic, messages=[{"data": one, "ordering_key": "k"}])
    pushes = await sink.received(5)
    assert [push.data for push in pushes] == data


async def test_unanswered_push_does_not_hold_up_another_key(async_publisher, topic, pushing, sink):
    pushing(enable_message_ordering=True)
    sink.held.clear()
    for key in ("a", "b"):
        message = {"data": key.encode(), "ordering_key": key}
        await async_publisher.publish(topic=topic, messages=[message])
    pushes = await sink.received(2)
    sink.held.set()
    assert {push.data for push in pushes} == {b"a", b"b"}


async def test_nacked_push_comes_before_the_next_of_its_key(async_publisher, topic, pushing, sink):
    pushes = await pushes_after(async_publisher, topic, pushing, sink, 500)
    assert pushes == [b"first", b"first"]
    assert (await sink.received(3))[2].data == b"second"
