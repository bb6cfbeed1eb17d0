"""The rules about a subscription's fields: Google's defaults, and refusals that name the field."""

from dataclasses import replace

import pytest
from google.pubsub_v1 import types

from asgi_tasks.emulator.api import subscriptions
from asgi_tasks.emulator.broker.model import (
    DAY,
    DELETED_TOPIC,
    DeadLetterPolicy,
    PushTarget,
    RetryPolicy,
    Topic,
)
from asgi_tasks.emulator.errors import InvalidArgument, Unimplemented
from tests.unit.emulator.scene import DEAD, SUB, TOPIC

PUSH_CONFIG = {
    "push_endpoint": "https://example.com/push",
    "oidc_token": {"service_account_email": "a@p", "audience": "us"},
}
PLAIN_TOPIC = Topic(name=TOPIC, resource=types.Topic.pb(types.Topic(name=TOPIC)))


def read(**fields):
    subscription = types.Subscription({"name": SUB, "topic": TOPIC, **fields})
    return subscriptions.read(types.Subscription.pb(subscription))


def write(subscription, topic=PLAIN_TOPIC):
    return types.Subscription.wrap(subscriptions.write(subscription, topic))


def update(current, mask, **fields):
    request = types.UpdateSubscriptionRequest(
        subscription={"name": SUB, **fields}, update_mask={"paths": mask}
    )
    return subscriptions.merged(current, types.UpdateSubscriptionRequest.pb(request))


def refusal(call, *args, **fields):
    with pytest.raises(InvalidArgument) as refused:
        call(*args, **fields)
    return refused.value.message


def seconds(number):
    return {"seconds": number}


# Reading


def test_unset_fields_get_googles_defaults():
    subscription = read()
    assert subscription.ack_deadline == 10
    assert subscription.retention == 7 * DAY
    assert subscription.idle_ttl == 31 * DAY
    assert not subscription.ordered


def test_policies_that_are_not_set_stay_unset():
    subscription = read()
    unset = (subscription.push, subscription.retry, subscription.dead_letter, subscription.filter)
    assert unset == (None, None, None, None)


def test_empty_policies_get_googles_defaults():
    subscription = read(retry_policy={}, dead_letter_policy={"dead_letter_topic": DEAD})
    assert subscription.retry == RetryPolicy(minimum_backoff=10, maximum_backoff=600)
    assert subscription.dead_letter == DeadLetterPolicy(topic=DEAD, max_delivery_attempts=5)


def test_push_config_is_read():
    assert read(push_config=PUSH_CONFIG).push == PushTarget(
        endpoint="https://example.com/push", service_account="a@p", audience="us"
    )


def test_retry_policy_is_read():
    policy = {"minimum_backoff": {"nanos": 500_000_000}, "maximum_backoff": seconds(60)}
    assert read(retry_policy=policy).retry == RetryPolicy(minimum_backoff=0.5, maximum_backoff=60)


def test_filter_is_read():
    wanted = read(filter='attributes.colour = "blue"').filter
    assert wanted({"colour": "blue"})
    assert not wanted({"colour": "red"})


def test_retention_expiry_and_order_are_read():
    subscription = read(
        message_retention_duration=seconds(600),
        expiration_policy={"ttl": seconds(2 * 86_400)},
        enable_message_ordering=True,
    )
    assert subscription.retention == 600
    assert subscription.idle_ttl == 2 * DAY
    assert subscription.ordered


def test_empty_expiration_policy_means_never():
    subscription = read(expiration_policy={})
    assert subscription.idle_ttl is None
    written = subscriptions.write(subscription, PLAIN_TOPIC)
    assert written.HasField("expiration_policy")
    assert not written.expiration_policy.HasField("ttl")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": "tasks"}, "name"),
        ({"topic": ""}, "topic"),
        ({"topic": SUB}, "topic"),
        ({"ack_deadline_seconds": 9}, "ack_deadline_seconds"),
        ({"ack_deadline_seconds": 601}, "ack_deadline_seconds"),
        ({"ack_deadline_seconds": -1}, "ack_deadline_seconds"),
        ({"message_retention_duration": seconds(599)}, "message_retention_duration"),
        ({"message_retention_duration": seconds(31 * 86_400 + 1)}, "message_retention_duration"),
        ({"expiration_policy": {"ttl": seconds(86_399)}}, "expiration_policy.ttl"),
        ({"filter": "attributes."}, "filter"),
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
        ({"push_config": {"push_endpoint": "ftp://example.com"}}, "push_config.push_endpoint"),
        ({"push_config": {"push_endpoint": "http://["}}, "push_config.push_endpoint"),
        ({"push_config": {"push_endpoint": "http://a:0/"}}, "push_config.push_endpoint"),
        ({"push_config": {"push_endpoint": "http://a/\n"}}, "push_config.push_endpoint"),
        (
            {"push_config": {"push_endpoint": "https://example.com", "oidc_token": {}}},
            "push_config.oidc_token.service_account_email",
        ),
    ],
)
def test_wrong_field_is_refused_by_name(fields, named):
    assert refusal(read, **fields).startswith(f"{named}: ")


@pytest.mark.parametrize(
    "fields",
    [
        {"ack_deadline_seconds": 10},
        {"ack_deadline_seconds": 600},
        {"message_retention_duration": seconds(600)},
        {"message_retention_duration": seconds(31 * 86_400)},
        {"expiration_policy": {"ttl": seconds(86_400)}},
        {"retry_policy": {"minimum_backoff": seconds(0), "maximum_backoff": seconds(0)}},
        {"retry_policy": {"minimum_backoff": seconds(600)}},
        {"dead_letter_policy": {"dead_letter_topic": DEAD, "max_delivery_attempts": 100}},
    ],
)
def test_field_at_its_limit_is_taken(fields):
    assert read(**fields)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"enable_exactly_once_delivery": True}, "enable_exactly_once_delivery"),
        ({"push_config": {**PUSH_CONFIG, "no_wrapper": {}}}, "push_config.no_wrapper"),
        ({"bigquery_config": {"table": "a.b.c"}}, "bigquery_config"),
    ],
)
def test_what_would_be_ignored_is_refused(fields, named):
    with pytest.raises(Unimplemented) as refused:
        read(**fields)
    assert refused.value.message == f"{named}: the emulator does not support it."


def test_what_only_google_sets_is_dropped():
    assert write(read(detached=True)).detached is False


# Writing


def test_what_was_given_is_given_back():
    given = {
        "labels": {"a": "b"},
        "ack_deadline_seconds": 77,
        "retain_acked_messages": True,
        "filter": "attributes:colour",
        "enable_message_ordering": True,
        "push_config": types.PushConfig({**PUSH_CONFIG, "attributes": {"x-goog-version": "v1"}}),
    }
    written = write(read(**given))
    assert {name: getattr(written, name) for name in given} == given


@pytest.mark.parametrize(
    ("push_config", "attributes"),
    [
        ({}, {}),
        (PUSH_CONFIG, {"x-goog-version": "v1"}),
        (
            {**PUSH_CONFIG, "attributes": {"x-goog-version": "v1beta1"}},
            {"x-goog-version": "v1beta1"},
        ),
    ],
)
def test_push_config_has_a_version_once_it_has_an_endpoint(push_config, attributes):
    assert dict(write(read(push_config=push_config)).push_config.attributes) == attributes


def test_defaults_are_written_out():
    written = subscriptions.write(read(), PLAIN_TOPIC)
    assert written.ack_deadline_seconds == 10
    assert written.message_retention_duration.seconds == 7 * 86_400
    assert written.expiration_policy.ttl.seconds == 31 * 86_400
    assert written.state == types.Subscription.State.ACTIVE


def test_deleted_topic_is_told():
    orphan = replace(read(), topic=DELETED_TOPIC)
    assert write(orphan, None).topic == DELETED_TOPIC


def test_topics_retention_is_told():
    resource = types.Topic(name=TOPIC, message_retention_duration=seconds(3_600))
    topic = Topic(name=TOPIC, resource=types.Topic.pb(resource))
    written = subscriptions.write(read(), topic)
    assert written.topic_message_retention_duration.seconds == 3_600


def test_writing_leaves_the_brokers_own_form_alone():
    subscription = read()
    subscriptions.write(subscription, PLAIN_TOPIC).labels["a"] = "b"
    assert not subscription.resource.labels


# Updating


def test_update_changes_what_the_mask_names_and_nothing_else():
    current = read(ack_deadline_seconds=20, labels={"a": "b"})
    updated = update(current, ["retry_policy"], retry_policy={}, ack_deadline_seconds=99)
    assert updated.retry == RetryPolicy()
    assert updated.ack_deadline == 20
    assert current.retry is None


def test_update_of_one_field_of_a_policy_leaves_the_others():
    current = read(retry_policy={"minimum_backoff": seconds(20), "maximum_backoff": seconds(40)})
    policy = {"minimum_backoff": seconds(30)}
    updated = update(current, ["retry_policy.minimum_backoff"], retry_policy=policy)
    assert updated.retry == RetryPolicy(minimum_backoff=30, maximum_backoff=40)


def test_update_clears_what_the_mask_names_and_the_request_leaves_out():
    current = read(retry_policy={}, labels={"a": "b"}, push_config=PUSH_CONFIG)
    updated = update(current, ["retry_policy", "labels", "push_config"])
    assert (updated.retry, updated.push) == (None, None)
    assert not write(updated).labels


@pytest.mark.parametrize(
    "mask",
    [
        [],
        ["nonsense"],
        ["topic"],
        ["filter"],
        ["name"],
        ["enable_message_ordering"],
        ["retry_policy.nonsense"],
        ["ack_deadline_seconds.seconds"],
    ],
)
def test_update_with_a_mask_that_cannot_be_is_refused(mask):
    assert refusal(update, read(), mask).startswith("update_mask: ")


def test_update_to_a_wrong_value_is_refused():
    message = refusal(update, read(), ["ack_deadline_seconds"], ack_deadline_seconds=5)
    assert message.startswith("ack_deadline_seconds: ")


def test_new_push_config_takes_the_place_of_the_old():
    current = read(push_config=PUSH_CONFIG, ack_deadline_seconds=20)
    config = types.PushConfig.pb(types.PushConfig(push_endpoint="http://localhost/"))
    changed = subscriptions.with_push_config(current, config)
    assert changed.push == PushTarget(endpoint="http://localhost/")
    assert changed.ack_deadline == 20


def test_empty_push_config_makes_it_a_pulled_one():
    current = read(push_config=PUSH_CONFIG)
    changed = subscriptions.with_push_config(current, types.PushConfig.pb()())
    assert changed.push is None
