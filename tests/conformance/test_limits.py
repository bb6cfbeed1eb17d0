"""Each limit on a topic or subscription, on both sides of its border."""

from datetime import timedelta

import pytest

DAY = timedelta(days=1)


def seconds(number):
    return timedelta(seconds=number)


# Names; docs: pubsub-basics#resource_names

GOOD_NAMES = {
    "3 characters": lambda unique: f"c{unique[-2:]}",
    "255 characters": lambda unique: unique.ljust(255, "c"),
    "every allowed character": lambda unique: f"{unique}A0-_.~+%",
    "goog further on": lambda unique: f"{unique}goog",
}
BAD_NAMES = {
    "2 characters": "co",
    "256 characters": "c" * 256,
    "a digit first": "1conf",
    "a dash first": "-conf",
    "a space": "con f",
    "a letter that is not ASCII": "cönf",
    "a bang": "conf!",
    "goog first": "googconf",
}


@pytest.mark.parametrize("make", GOOD_NAMES.values(), ids=GOOD_NAMES)
def test_good_topic_name(publisher, names, make):
    name = f"{names.project}/topics/{make(names.unique)}"
    names.given.add(name)
    assert publisher.create_topic(name=name).name == name


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_bad_topic_name(publisher, names, invalid, name):
    with invalid("name"):
        publisher.create_topic(name=f"{names.project}/topics/{name}")


@pytest.mark.parametrize("make", GOOD_NAMES.values(), ids=GOOD_NAMES)
def test_good_subscription_name(subscriber, topic, names, make):
    name = f"{names.project}/subscriptions/{make(names.unique)}"
    names.given.add(name)
    assert subscriber.create_subscription(name=name, topic=topic).name == name


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_bad_subscription_name(subscriber, topic, names, invalid, name):
    with invalid("name"):
        subscriber.create_subscription(name=f"{names.project}/subscriptions/{name}", topic=topic)


@pytest.mark.parametrize("name", ["tasks", "projects/p", "projects/p/subscriptions/tasks"])
def test_topic_name_of_another_form(publisher, invalid, name):
    with invalid("name"):
        publisher.create_topic(name=name)


# Durations and counts; docs: reference/rest/v1/projects.subscriptions#resource:-subscription


def retry_policy(minimum=0, maximum=600):
    policy = {"minimum_backoff": seconds(minimum), "maximum_backoff": seconds(maximum)}
    return {"retry_policy": policy}


def lifetimes(ttl, retention):
    return {"expiration_policy": {"ttl": ttl}, "message_retention_duration": retention}


WITHIN = {
    "ack deadline 10": {"ack_deadline_seconds": 10},
    "ack deadline 600": {"ack_deadline_seconds": 600},
    "retention 10 minutes": {"message_retention_duration": seconds(600)},
    # it has to be less than the expiration
    "retention 31 days": lifetimes(ttl=32 * DAY, retention=31 * DAY),
    "expiration 1 day": lifetimes(ttl=DAY, retention=seconds(600)),
    "expiration 365 days": {"expiration_policy": {"ttl": 365 * DAY}},
    "retry minimum 0": retry_policy(minimum=0),
    "retry minimum 600": retry_policy(minimum=600),
    "retry maximum 0": retry_policy(maximum=0),
    "retry maximum 600": retry_policy(maximum=600),
    "filter of 256 bytes": {"filter": f"attributes:{'k' * 245}"},
}
BEYOND = {
    "ack deadline 9": ("ack_deadline_seconds", {"ack_deadline_seconds": 9}),
    "ack deadline 601": ("ack_deadline_seconds", {"ack_deadline_seconds": 601}),
    "ack deadline -1": ("ack_deadline_seconds", {"ack_deadline_seconds": -1}),
    "retention 599 s": (
        "message_retention_duration",
        {"message_retention_duration": seconds(599)},
    ),
    "retention 31 days and 1 s": (
        "message_retention_duration",
        lifetimes(ttl=60 * DAY, retention=31 * DAY + seconds(1)),
    ),
    "expiration a second less than a day": (
        "expiration_policy",
        lifetimes(ttl=DAY - seconds(1), retention=seconds(600)),
    ),
    "retry minimum -1": ("retry_policy.minimum_backoff", retry_policy(minimum=-1)),
    "retry minimum 601": ("retry_policy.minimum_backoff", retry_policy(minimum=601)),
    "retry maximum -1": ("retry_policy.maximum_backoff", retry_policy(maximum=-1)),
    "retry maximum 601": ("retry_policy.maximum_backoff", retry_policy(maximum=601)),
    "retry minimum over the maximum": ("backoff", retry_policy(minimum=20, maximum=10)),
    "filter of 257 bytes": ("filter", {"filter": f"attributes:{'k' * 246}"}),
}


@pytest.mark.parametrize("fields", WITHIN.values(), ids=WITHIN)
def test_within_the_limit(subscribe, fields):
    subscribe(**fields)


@pytest.mark.parametrize(("field", "fields"), BEYOND.values(), ids=BEYOND)
def test_beyond_the_limit(subscribe, invalid, field, fields):
    with invalid(field):
        subscribe(**fields)


# docs: reference/rest/v1/projects.subscriptions#deadletterpolicy
@pytest.mark.parametrize("attempts", [5, 100])
def test_delivery_attempts_within_the_limit(subscribe, topic, attempts):
    subscribe(dead_letter_policy={"dead_letter_topic": topic, "max_delivery_attempts": attempts})


@pytest.mark.parametrize("attempts", [-1, 4, 101])
def test_delivery_attempts_beyond_the_limit(subscribe, topic, invalid, attempts):
    policy = {"dead_letter_topic": topic, "max_delivery_attempts": attempts}
    with invalid("dead_letter_policy.max_delivery_attempts"):
        subscribe(dead_letter_policy=policy)


def test_dead_letter_topic_of_another_form(subscribe, invalid):
    with invalid("dead_letter_policy.dead_letter_topic"):
        subscribe(dead_letter_policy={"dead_letter_topic": "dead"})


# docs: reference/rest/v1/projects.topics#resource:-topic
@pytest.mark.parametrize("retention", [seconds(600), 31 * DAY], ids=["10 minutes", "31 days"])
def test_topic_retention_within_the_limit(publisher, names, retention):
    request = {"name": names.topic(), "message_retention_duration": retention}
    assert publisher.create_topic(request=request).message_retention_duration == retention


@pytest.mark.parametrize(
    "retention", [seconds(599), 31 * DAY + seconds(1)], ids=["599 s", "31 days and 1 s"]
)
def test_topic_retention_beyond_the_limit(publisher, names, invalid, retention):
    request = {"name": names.topic(), "message_retention_duration": retention}
    with invalid("message_retention_duration"):
        publisher.create_topic(request=request)


@pytest.mark.parametrize("url", ["example.com/push", "ftp://example.com/push", "https://", "push"])
def test_push_endpoint_that_is_no_web_address(subscribe, invalid, url):
    with invalid("push_config.push_endpoint"):
        subscribe(push_config={"push_endpoint": url})


# Calls on messages; docs: reference/rest/v1/projects.subscriptions/pull, /modifyAckDeadline


@pytest.mark.parametrize("number", [0, -1])
def test_pull_takes_at_least_one_message(subscriber, subscription, invalid, number):
    with invalid("max_messages"):
        subscriber.pull(subscription=subscription, max_messages=number)


@pytest.mark.parametrize("deadline", [-1, 601])
def test_ack_deadline_cannot_be_modified_to(subscriber, subscription, invalid, deadline):
    with invalid("ack_deadline_seconds"):
        subscriber.modify_ack_deadline(
            subscription=subscription, ack_ids=["x"], ack_deadline_seconds=deadline
        )


def test_acknowledge_without_an_id(subscriber, subscription, invalid):
    with invalid("ack_ids"):
        subscriber.acknowledge(subscription=subscription, ack_ids=[])


def test_modify_ack_deadline_without_an_id(subscriber, subscription, invalid):
    with invalid("ack_ids"):
        subscriber.modify_ack_deadline(
            subscription=subscription, ack_ids=[], ack_deadline_seconds=10
        )
