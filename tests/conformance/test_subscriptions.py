"""Create-, Get-, Update-, List- and DeleteSubscription, ModifyPushConfig."""

from datetime import timedelta

import pytest
from aiohttp import ClientResponseError
from google.api_core import exceptions
from google.pubsub_v1 import types

from .deliveries import PATIENCE, pulled

ENDPOINT = "https://example.com/push"
DAY = timedelta(days=1)


def seconds(number):
    return timedelta(seconds=number)


def update(subscriber, name, mask, **fields):
    request = {"subscription": {"name": name, **fields}, "update_mask": {"paths": mask}}
    return subscriber.update_subscription(request=request)


def test_created_subscription_can_be_got(subscriber, topic, names):
    created = subscriber.create_subscription(name=names.subscription(), topic=topic)
    assert (created.name, created.topic) == (names.subscription(), topic)
    assert subscriber.get_subscription(subscription=names.subscription()) == created


# Defaults; docs: reference/rest/v1/projects.subscriptions#resource:-subscription


@pytest.mark.parametrize(
    ("field", "default"),
    [
        ("ack_deadline_seconds", 10),
        ("message_retention_duration", 7 * DAY),
        ("expiration_policy.ttl", 31 * DAY),
        ("retain_acked_messages", False),
        ("enable_message_ordering", False),
        ("enable_exactly_once_delivery", False),
        ("detached", False),
        ("filter", ""),
        ("push_config.push_endpoint", ""),
        ("state", types.Subscription.State.ACTIVE),
    ],
)
def test_default_of(subscriber, subscription, field, default):
    value = subscriber.get_subscription(subscription=subscription)
    for part in field.split("."):
        value = getattr(value, part)
    assert value == default


@pytest.mark.parametrize("field", ["retry_policy", "dead_letter_policy"])
def test_unset_by_default(subscriber, subscription, field):
    assert field not in subscriber.get_subscription(subscription=subscription)


# docs: reference/rest/v1/projects.subscriptions#retrypolicy
@pytest.mark.parametrize(
    ("given", "minimum", "maximum"),
    [
        ({}, 10, 600),
        ({"minimum_backoff": seconds(30)}, 30, 600),
        ({"maximum_backoff": seconds(60)}, 10, 60),
    ],
    ids=["both", "the maximum", "the minimum"],
)
def test_retry_policy_gets_its_default_for(subscriber, subscribe, given, minimum, maximum):
    policy = subscriber.get_subscription(subscription=subscribe(retry_policy=given)).retry_policy
    assert policy.minimum_backoff == seconds(minimum)
    assert policy.maximum_backoff == seconds(maximum)


# docs: reference/rest/v1/projects.subscriptions#deadletterpolicy
def test_dead_letter_policy_has_five_attempts_by_default(subscriber, subscribe, topic):
    name = subscribe(dead_letter_policy={"dead_letter_topic": topic})
    policy = subscriber.get_subscription(subscription=name).dead_letter_policy
    assert (policy.dead_letter_topic, policy.max_delivery_attempts) == (topic, 5)


# docs: reference/rest/v1/projects.subscriptions#expirationpolicy
def test_expiration_policy_without_a_ttl_is_never(subscriber, subscribe):
    live = subscriber.get_subscription(subscription=subscribe(expiration_policy={}))
    assert "expiration_policy" in live
    assert "ttl" not in live.expiration_policy


# docs: reference/rest/v1/PushConfig "GetSubscription calls will always return a valid version"
def test_push_config_always_has_a_version(subscriber, subscribe):
    name = subscribe(push_config={"push_endpoint": ENDPOINT})
    config = subscriber.get_subscription(subscription=name).push_config
    assert config.attributes["x-goog-version"] == "v1"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ack_deadline_seconds", 77),
        ("message_retention_duration", seconds(1234)),
        ("expiration_policy", {"ttl": 60 * DAY}),
        ("retry_policy", {"minimum_backoff": seconds(1.5), "maximum_backoff": seconds(2.25)}),
        ("labels", {"team": "a"}),
        ("retain_acked_messages", True),
        ("enable_message_ordering", True),
        ("filter", 'attributes.colour = "blue"'),
    ],
)
def test_subscription_keeps_its(subscriber, subscribe, field, value):
    live = subscriber.get_subscription(subscription=subscribe(**{field: value}))
    assert getattr(live, field) == getattr(types.Subscription(**{field: value}), field)


def test_subscription_keeps_its_push_config(subscriber, subscribe, account):
    token = {"service_account_email": account, "audience": "https://example.com/"}
    name = subscribe(push_config={"push_endpoint": ENDPOINT, "oidc_token": token})
    config = subscriber.get_subscription(subscription=name).push_config
    assert config.push_endpoint == ENDPOINT
    assert config.oidc_token == types.PushConfig.OidcToken(**token)


async def test_gcloud_aio_creates_with_a_body(aio_subscriber, topic, names):
    body = {"ackDeadlineSeconds": 20, "retryPolicy": {"minimumBackoff": "1s"}}
    made = await aio_subscriber.create_subscription(names.subscription(), topic, body)
    assert made["ackDeadlineSeconds"] == 20
    assert made["retryPolicy"] == {"minimumBackoff": "1s", "maximumBackoff": "600s"}
    assert made["messageRetentionDuration"] == "604800s"
    assert made["expirationPolicy"] == {"ttl": "2678400s"}


# docs: reference/rpc/google.pubsub.v1#google.pubsub.v1.Subscriber "If the name is not provided in
# the request, the server will assign a random name for this subscription on the same project"
def test_subscription_without_a_name_is_given_one(subscriber, topic, names):
    created = subscriber.create_subscription(request={"topic": topic})
    names.given.add(created.name)
    assert created.name.startswith(f"{names.project}/subscriptions/")
    assert subscriber.get_subscription(subscription=created.name).topic == topic


# Refused; docs: reference/error-codes


def test_second_creation_is_refused_by_the_sync_client(subscriber, topic, subscription):
    with pytest.raises(exceptions.AlreadyExists):
        subscriber.create_subscription(name=subscription, topic=topic)


async def test_second_creation_is_refused_by_the_async_client(
    async_subscriber, topic, subscription
):
    with pytest.raises(exceptions.AlreadyExists):
        await async_subscriber.create_subscription(name=subscription, topic=topic)


async def test_second_creation_is_a_conflict_for_gcloud_aio(aio_subscriber, topic, subscription):
    with pytest.raises(ClientResponseError) as refused:
        await aio_subscriber.create_subscription(subscription, topic)
    assert refused.value.status == 409


def test_subscription_to_an_unknown_topic_is_not_found(subscriber, names):
    with pytest.raises(exceptions.NotFound):
        subscriber.create_subscription(name=names.subscription(), topic=names.topic("unknown"))


# docs: reference/rest/v1/projects.subscriptions#deadletterpolicy
# "The operation will fail if the topic does not exist."
def test_unknown_dead_letter_topic_is_not_found(subscribe, names):
    with pytest.raises(exceptions.NotFound):
        subscribe(dead_letter_policy={"dead_letter_topic": names.topic("unknown")})


def test_update_to_an_unknown_dead_letter_topic_is_not_found(subscriber, subscription, names):
    policy = {"dead_letter_topic": names.topic("unknown")}
    with pytest.raises(exceptions.NotFound):
        update(subscriber, subscription, ["dead_letter_policy"], dead_letter_policy=policy)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda client, name: client.get_subscription(subscription=name), id="Get"),
        pytest.param(
            lambda client, name: update(
                client, name, ["ack_deadline_seconds"], ack_deadline_seconds=20
            ),
            id="Update",
        ),
        pytest.param(
            lambda client, name: client.delete_subscription(subscription=name), id="Delete"
        ),
        pytest.param(
            lambda client, name: client.modify_push_config(subscription=name, push_config={}),
            id="ModifyPushConfig",
        ),
        pytest.param(
            lambda client, name: client.pull(subscription=name, max_messages=1), id="Pull"
        ),
        pytest.param(
            lambda client, name: client.acknowledge(subscription=name, ack_ids=["x"]),
            id="Acknowledge",
        ),
        pytest.param(
            lambda client, name: client.modify_ack_deadline(
                subscription=name, ack_ids=["x"], ack_deadline_seconds=10
            ),
            id="ModifyAckDeadline",
        ),
    ],
)
def test_unknown_subscription_is_not_found(subscriber, names, call):
    with pytest.raises(exceptions.NotFound):
        call(subscriber, names.subscription("unknown"))


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get_subscription", ()),
        ("patch_subscription", ({"subscription": {}, "updateMask": "labels"},)),
        ("delete_subscription", ()),
        ("pull", (1,)),
        ("acknowledge", (["x"],)),
        ("modify_ack_deadline", (["x"], 10)),
    ],
)
async def test_unknown_subscription_is_404_for_gcloud_aio(aio_subscriber, names, method, arguments):
    with pytest.raises(ClientResponseError) as refused:
        await getattr(aio_subscriber, method)(names.subscription("unknown"), *arguments)
    assert refused.value.status == 404


# UpdateSubscription; docs: reference/rest/v1/projects.subscriptions/patch


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ack_deadline_seconds", 77),
        ("message_retention_duration", seconds(1234)),
        ("expiration_policy", {}),
        ("retry_policy", {"minimum_backoff": seconds(5), "maximum_backoff": seconds(50)}),
        ("labels", {"team": "b"}),
        ("retain_acked_messages", True),
    ],
)
def test_update_changes(subscriber, subscribe, field, value):
    name = subscribe(labels={"team": "a"})
    updated = update(subscriber, name, [field], **{field: value})
    assert getattr(updated, field) == getattr(types.Subscription(**{field: value}), field)
    assert subscriber.get_subscription(subscription=name) == updated


def test_update_changes_the_dead_letter_policy(subscriber, subscription, topic):
    policy = {"dead_letter_topic": topic, "max_delivery_attempts": 9}
    updated = update(subscriber, subscription, ["dead_letter_policy"], dead_letter_policy=policy)
    assert updated.dead_letter_policy == types.DeadLetterPolicy(**policy)


def test_update_changes_the_push_config(subscriber, subscription):
    config = {"push_endpoint": ENDPOINT}
    updated = update(subscriber, subscription, ["push_config"], push_config=config)
    assert updated.push_config.push_endpoint == ENDPOINT


def test_update_changes_all_the_mask_names(subscriber, subscription):
    mask = ["ack_deadline_seconds", "labels"]
    updated = update(subscriber, subscription, mask, ack_deadline_seconds=20, labels={"a": "b"})
    assert (updated.ack_deadline_seconds, dict(updated.labels)) == (20, {"a": "b"})


def test_update_leaves_what_the_mask_does_not_name(subscriber, subscribe):
    name = subscribe(ack_deadline_seconds=20, retry_policy={"minimum_backoff": seconds(5)})
    updated = update(subscriber, name, ["labels"], ack_deadline_seconds=99, labels={"a": "b"})
    assert updated.ack_deadline_seconds == 20
    assert updated.retry_policy.minimum_backoff == seconds(5)


def test_update_by_a_sub_path_leaves_the_rest_of_the_policy(subscriber, subscribe):
    policy = {"minimum_backoff": seconds(5), "maximum_backoff": seconds(50)}
    name = subscribe(retry_policy=policy)
    mask, given = ["retry_policy.maximum_backoff"], {"maximum_backoff": seconds(60)}
    updated = update(subscriber, name, mask, retry_policy=given)
    assert updated.retry_policy.minimum_backoff == seconds(5)
    assert updated.retry_policy.maximum_backoff == seconds(60)


@pytest.mark.parametrize("field", ["retry_policy", "dead_letter_policy", "labels", "push_config"])
def test_update_clears_when_masked_and_unset(subscriber, subscribe, topic, field):
    name = subscribe(
        retry_policy={},
        dead_letter_policy={"dead_letter_topic": topic},
        labels={"a": "b"},
        push_config={"push_endpoint": ENDPOINT},
    )
    updated = update(subscriber, name, [field])
    if field == "push_config":
        assert updated.push_config.push_endpoint == ""
    else:
        assert field not in updated


def test_update_to_an_unset_ack_deadline_is_the_default(subscriber, subscribe):
    name = subscribe(ack_deadline_seconds=99)
    assert update(subscriber, name, ["ack_deadline_seconds"]).ack_deadline_seconds == 10


# docs: subscription-message-filter, ordering "You can't ... after the subscription is created"
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("topic", "projects/p/topics/other"),
        ("filter", "attributes:colour"),
        ("enable_message_ordering", True),
    ],
)
def test_immutable(subscriber, subscription, invalid, field, value):
    fields = {field: value} if value else {}
    with invalid(field):
        update(subscriber, subscription, [field], **fields)


@pytest.mark.parametrize("mask", [[], ["colour"]], ids=["nothing", "an unknown field"])
def test_subscription_cannot_be_updated_by_a_mask_of(subscriber, subscription, invalid, mask):
    with invalid("update_mask"):
        update(subscriber, subscription, mask, labels={"a": "b"})


def test_refused_update_changes_nothing(subscriber, subscription):
    before = subscriber.get_subscription(subscription=subscription)
    mask = ["labels", "ack_deadline_seconds"]
    with pytest.raises(exceptions.InvalidArgument):
        update(subscriber, subscription, mask, labels={"a": "b"}, ack_deadline_seconds=5)
    assert subscriber.get_subscription(subscription=subscription) == before


async def test_async_client_updates_a_subscription(async_subscriber, subscription):
    updated = await async_subscriber.update_subscription(
        subscription=types.Subscription(name=subscription, ack_deadline_seconds=99),
        update_mask={"paths": ["ack_deadline_seconds"]},
    )
    assert updated.ack_deadline_seconds == 99


@pytest.mark.parametrize(
    "mask", ["ackDeadlineSeconds,retryPolicy", "ack_deadline_seconds,retry_policy"]
)
@pytest.mark.parametrize("camel", [True, False], ids=["camelCase", "snake_case"])
async def test_rest_update_takes_both_spellings(rest, subscription, mask, camel):
    deadline, retry, minimum, update_mask = (
        ("ackDeadlineSeconds", "retryPolicy", "minimumBackoff", "updateMask")
        if camel
        else ("ack_deadline_seconds", "retry_policy", "minimum_backoff", "update_mask")
    )
    body = {"subscription": {deadline: 30, retry: {minimum: "1.5s"}}, update_mask: mask}
    async with rest.patch(f"/v1/{subscription}", json=body) as answer:
        assert answer.status == 200
    async with rest.get(f"/v1/{subscription}") as answer:
        live = await answer.json()
    assert live["ackDeadlineSeconds"] == 30
    assert live["retryPolicy"] == {"minimumBackoff": "1.500s", "maximumBackoff": "600s"}


@pytest.mark.parametrize(
    ("mask", "change", "expected"),
    [
        ("retryPolicy.minimumBackoff", {"retryPolicy": {"minimumBackoff": "7s"}}, ("7s", 8)),
        ("retry_policy.minimum_backoff", {"retryPolicy": {"minimumBackoff": "7s"}}, ("7s", 8)),
        (
            "deadLetterPolicy.maxDeliveryAttempts",
            {"deadLetterPolicy": {"maxDeliveryAttempts": 9}},
            ("5s", 9),
        ),
        (
            "dead_letter_policy.max_delivery_attempts",
            {"deadLetterPolicy": {"maxDeliveryAttempts": 9}},
            ("5s", 9),
        ),
    ],
)
async def test_gcloud_aio_updates_by_sub_path(aio_subscriber, topic, names, mask, change, expected):
    body = {
        "retryPolicy": {"minimumBackoff": "5s", "maximumBackoff": "50s"},
        "deadLetterPolicy": {"deadLetterTopic": topic, "maxDeliveryAttempts": 8},
    }
    await aio_subscriber.create_subscription(names.subscription(), topic, body)
    live = await aio_subscriber.patch_subscription(
        names.subscription(), {"subscription": change, "updateMask": mask}
    )
    attempts = live["deadLetterPolicy"]["maxDeliveryAttempts"]
    assert (live["retryPolicy"]["minimumBackoff"], attempts) == expected
    assert live["retryPolicy"]["maximumBackoff"] == "50s"
    assert live["deadLetterPolicy"]["deadLetterTopic"] == topic


async def test_gcloud_aio_update_without_a_mask_is_refused(aio_subscriber, subscription):
    with pytest.raises(ClientResponseError) as refused:
        await aio_subscriber.patch_subscription(
            subscription, {"subscription": {"ackDeadlineSeconds": 30}}
        )
    assert refused.value.status == 400


# Lists


def test_list_of_subscriptions_comes_in_pages(subscriber, subscribe, names):
    wanted = {subscribe(f"s{number}") for number in range(3)}
    paged = subscriber.list_subscriptions(request={"project": names.project, "page_size": 2})
    pages = [[one.name for one in page.subscriptions] for page in paged.pages]
    assert max(len(page) for page in pages) <= 2
    assert wanted <= {name for page in pages for name in page}


async def test_async_client_lists_subscriptions(async_subscriber, subscription, names):
    paged = await async_subscriber.list_subscriptions(project=names.project)
    assert subscription in [one.name async for one in paged]


async def test_gcloud_aio_follows_the_pages_of_subscriptions(aio_subscriber, subscribe, names):
    wanted = {subscribe(f"s{number}") for number in range(3)}
    listed = await aio_subscriber.list_subscriptions(names.project, {"pageSize": "1"})
    assert wanted <= {one["name"] for one in listed["subscriptions"]}


# DeleteSubscription; docs: reference/rest/v1/projects.subscriptions/delete


def test_deleted_subscription_is_gone(subscriber, subscription):
    subscriber.delete_subscription(subscription=subscription)
    with pytest.raises(exceptions.NotFound):
        subscriber.get_subscription(subscription=subscription)


def test_recreated_subscription_has_none_of_the_former_messages(
    publisher, subscriber, topic, subscription
):
    publisher.publish(topic, b"former").result(PATIENCE)
    subscriber.delete_subscription(subscription=subscription)
    subscriber.create_subscription(name=subscription, topic=topic)
    publisher.publish(topic, b"new").result(PATIENCE)
    assert [one.message.data for one in pulled(subscriber, subscription)] == [b"new"]


def test_recreated_subscription_has_none_of_the_former_settings(subscriber, topic, subscribe):
    name = subscribe(ack_deadline_seconds=99, labels={"a": "b"})
    subscriber.delete_subscription(subscription=name)
    live = subscriber.create_subscription(name=name, topic=topic)
    assert (live.ack_deadline_seconds, dict(live.labels)) == (10, {})


# ModifyPushConfig; docs: reference/rest/v1/projects.subscriptions/modifyPushConfig


def test_pull_subscription_becomes_a_push_one(subscriber, subscription):
    subscriber.modify_push_config(
        subscription=subscription, push_config={"push_endpoint": ENDPOINT}
    )
    live = subscriber.get_subscription(subscription=subscription)
    assert live.push_config.push_endpoint == ENDPOINT


def test_empty_push_config_makes_it_a_pull_subscription(subscriber, subscribe):
    name = subscribe(push_config={"push_endpoint": ENDPOINT})
    subscriber.modify_push_config(subscription=name, push_config={})
    live = subscriber.get_subscription(subscription=name)
    assert live.push_config.push_endpoint == ""


async def test_push_config_is_modified_over_rest(rest, subscription):
    body = {"pushConfig": {"pushEndpoint": ENDPOINT}}
    async with rest.post(f"/v1/{subscription}:modifyPushConfig", json=body) as answer:
        assert (answer.status, await answer.json()) == (200, {})
    async with rest.get(f"/v1/{subscription}") as answer:
        assert (await answer.json())["pushConfig"]["pushEndpoint"] == ENDPOINT


# docs: the message is "This method is not supported for push subscriptions."
# (googleapis issues; the code is in reference/error-codes)
def test_push_subscription_cannot_be_pulled(subscriber, subscribe):
    name = subscribe(push_config={"push_endpoint": ENDPOINT})
    with pytest.raises(exceptions.FailedPrecondition):
        subscriber.pull(subscription=name, max_messages=1)


async def test_push_subscription_cannot_be_pulled_by_gcloud_aio(aio_subscriber, subscribe):
    name = subscribe(push_config={"push_endpoint": ENDPOINT})
    with pytest.raises(ClientResponseError) as refused:
        await aio_subscriber.pull(name, 1)
    assert refused.value.status == 400
