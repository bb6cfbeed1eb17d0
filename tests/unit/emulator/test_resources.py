"""The rules about fields: Google's defaults, and refusals that name the field."""

import pytest
from google.pubsub_v1 import types

from asgi_tasks.emulator import resources
from asgi_tasks.emulator.errors import InvalidArgument, Unimplemented
from asgi_tasks.emulator.model import DeadLetterPolicy, Lease, Message, PushTarget, RetryPolicy

TOPIC = "projects/p/topics/tasks"
DEAD = "projects/p/topics/dead"
SUB = "projects/p/subscriptions/tasks-sub"


def resource(**fields):
    subscription = types.Subscription({"name": SUB, "topic": TOPIC, **fields})
    return types.Subscription.pb(subscription)


def read(**fields):
    return resources.read_subscription(resource(**fields))


def seconds(number):
    return {"seconds": number}


def test_unset_fields_get_googles_defaults():
    subscription = read(retry_policy={}, dead_letter_policy={"dead_letter_topic": DEAD})

    assert subscription.ack_deadline == 10
    assert subscription.push is None
    assert subscription.retry == RetryPolicy(minimum_backoff=10, maximum_backoff=600)
    assert subscription.dead_letter == DeadLetterPolicy(topic=DEAD, max_delivery_attempts=5)
    written = resources.write_subscription(subscription)
    assert written.message_retention_duration.seconds == 7 * 86_400
    assert written.expiration_policy.ttl.seconds == 31 * 86_400
    assert written.state == types.Subscription.State.ACTIVE


def test_policies_that_are_not_set_stay_unset():
    subscription = read()
    assert subscription.retry is None
    assert subscription.dead_letter is None


def test_empty_expiration_policy_means_never():
    written = resources.write_subscription(read(expiration_policy={}))
    assert written.HasField("expiration_policy")
    assert not written.expiration_policy.HasField("ttl")


def test_push_config_is_read():
    push = read(
        push_config={
            "push_endpoint": "https://example.com/push",
            "oidc_token": {"service_account_email": "a@p", "audience": "us"},
        }
    ).push
    assert push == PushTarget(
        endpoint="https://example.com/push", service_account="a@p", audience="us"
    )


def test_what_was_given_is_given_back():
    given = {"labels": {"a": "b"}, "ack_deadline_seconds": 77, "retain_acked_messages": True}
    written = types.Subscription.wrap(resources.write_subscription(read(**given)))
    assert {name: getattr(written, name) for name in given} == given


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": "tasks"}, "name"),
        ({"name": "projects/p/topics/tasks"}, "name"),
        ({"name": "projects/p/subscriptions/1st"}, "name"),
        ({"name": "projects/p/subscriptions/google"}, "name"),
        ({"name": "projects/p/subscriptions/ab"}, "name"),
        ({"name": "projects/p/subscriptions/" + "a" * 256}, "name"),
        ({"topic": ""}, "topic"),
        ({"topic": SUB}, "topic"),
        ({"ack_deadline_seconds": 9}, "ack_deadline_seconds"),
        ({"ack_deadline_seconds": 601}, "ack_deadline_seconds"),
        ({"ack_deadline_seconds": -1}, "ack_deadline_seconds"),
        ({"message_retention_duration": seconds(599)}, "message_retention_duration"),
        ({"expiration_policy": {"ttl": seconds(86_399)}}, "expiration_policy.ttl"),
        ({"retry_policy": {"minimum_backoff": seconds(-1)}}, "retry_policy.minimum_backoff"),
        ({"retry_policy": {"maximum_backoff": seconds(601)}}, "retry_policy.maximum_backoff"),
        ({"retry_policy": {"maximum_backoff": seconds(5)}}, "retry_policy.minimum_backoff"),
        ({"dead_letter_policy": {}}, "dead_letter_policy.dead_letter_topic"),
        (
            {"dead_letter_policy": {"dead_letter_topic": DEAD, "max_delivery_attempts": 4}},
            "dead_letter_policy.max_delivery_attempts",
        ),
        (
            {"dead_letter_policy": {"dead_letter_topic": DEAD, "max_delivery_attempts": 101}},
            "dead_letter_policy.max_delivery_attempts",
        ),
        ({"push_config": {"push_endpoint": "example.com"}}, "push_config.push_endpoint"),
        ({"push_config": {"push_endpoint": "http://["}}, "push_config.push_endpoint"),
        (
            {"push_config": {"push_endpoint": "https://example.com", "oidc_token": {}}},
            "push_config.oidc_token.service_account_email",
        ),
    ],
)
def test_wrong_field_is_refused_by_name(fields, named):
    with pytest.raises(InvalidArgument) as caught:
        read(**fields)
    assert caught.value.message.startswith(f"{named}: ")


@pytest.mark.parametrize(
    "fields",
    [
        {"enable_message_ordering": True},
        {"enable_exactly_once_delivery": True},
        {"filter": "attributes:a"},
        {"push_config": {"push_endpoint": "https://example.com", "no_wrapper": {}}},
    ],
)
def test_what_would_be_ignored_is_refused(fields):
    with pytest.raises(Unimplemented, match="does not support it"):
        read(**fields)


@pytest.mark.parametrize("name", ["abc", "a-._~+%Z", "a" * 255])
def test_good_names_are_taken(name):
    assert resources.checked_name("topics", "topic", f"projects/p/topics/{name}")


def update(current, mask, **fields):
    request = types.UpdateSubscriptionRequest(
        subscription={"name": SUB, **fields}, update_mask={"paths": mask}
    )
    return resources.merged(current, types.UpdateSubscriptionRequest.pb(request))


def test_update_changes_what_the_mask_names_and_nothing_else():
    current = read(ack_deadline_seconds=20, labels={"a": "b"})
    updated = update(current, ["retry_policy"], retry_policy={}, ack_deadline_seconds=99)
    assert updated.retry == RetryPolicy()
    assert updated.ack_deadline == 20
    assert current.retry is None


def test_update_clears_what_the_mask_names_and_the_request_leaves_out():
    current = read(retry_policy={}, labels={"a": "b"})
    updated = update(current, ["retry_policy", "labels"])
    assert updated.retry is None
    assert not resources.write_subscription(updated).labels


@pytest.mark.parametrize("mask", [[], ["nonsense"], ["topic"], ["filter"], ["name"]])
def test_update_with_a_mask_that_cannot_be_is_refused(mask):
    with pytest.raises(InvalidArgument, match=r"^update_mask: "):
        update(read(), mask)


def test_update_to_a_wrong_value_is_refused():
    with pytest.raises(InvalidArgument, match=r"^ack_deadline_seconds: "):
        update(read(), ["ack_deadline_seconds"], ack_deadline_seconds=5)


def drafts(*messages):
    request = types.PublishRequest(topic=TOPIC, messages=messages)
    return resources.read_drafts(types.PublishRequest.pb(request))


def test_published_messages_are_read():
    [draft] = drafts({"data": b"x", "attributes": {"googclient_traceparent": "00"}})
    assert draft.data == b"x"
    assert draft.attributes == {"googclient_traceparent": "00"}


@pytest.mark.parametrize(
    ("messages", "named"),
    [
        ([], "messages"),
        ([{"data": b"x"}] * 1001, "messages"),
        ([{"data": b"x" * 10_000_001}], "messages"),
        ([{"ordering_key": "a"}], "messages"),
        ([{"data": b"x", "ordering_key": "a" * 1025}], "messages.ordering_key"),
        ([{"attributes": {str(number): "" for number in range(101)}}], "messages.attributes"),
        ([{"attributes": {"": "x"}}], "messages.attributes"),
        ([{"attributes": {"é" * 129: "x"}}], "messages.attributes"),
        ([{"attributes": {"a": "é" * 513}}], "messages.attributes"),
        ([{"attributes": {"goog-x": "x"}}], "messages.attributes"),
    ],
)
def test_wrong_message_is_refused_by_name(messages, named):
    with pytest.raises(InvalidArgument) as caught:
        drafts(*messages)
    assert caught.value.message.startswith(f"{named}: ")


@pytest.mark.parametrize(("policy", "attempt"), [(None, 0), ({"dead_letter_topic": DEAD}, 3)])
def test_delivery_attempt_is_told_only_with_a_dead_letter_policy(policy, attempt):
    message = Message(
        message_id="1", topic=TOPIC, published_at=1.5, data=b"x", attributes={}, ordering_key=""
    )
    subscription = read(dead_letter_policy=policy)
    received = resources.write_lease(subscription, Lease(ack_id="1-3", attempt=3, message=message))
    assert received.delivery_attempt == attempt
    assert received.message.publish_time.ToMicroseconds() == 1_500_000
