"""CreateTopic, GetTopic, UpdateTopic, ListTopics, ListTopicSubscriptions, DeleteTopic."""

from datetime import timedelta

import pytest
from aiohttp import ClientResponseError
from google.api_core import exceptions

from .deliveries import PATIENCE, pulled


def update(publisher, topic, mask, **fields):
    request = {"topic": {"name": topic, **fields}, "update_mask": {"paths": mask}}
    return publisher.update_topic(request=request)


def test_created_topic_can_be_got(publisher, names):
    created = publisher.create_topic(name=names.topic())
    assert created.name == names.topic()
    assert publisher.get_topic(topic=names.topic()) == created


def test_topic_keeps_its_labels(publisher, names):
    publisher.create_topic(request={"name": names.topic(), "labels": {"team": "a", "env": "b"}})
    assert dict(publisher.get_topic(topic=names.topic()).labels) == {"team": "a", "env": "b"}


def test_topic_keeps_its_retention(publisher, names):
    day = timedelta(days=1)
    publisher.create_topic(request={"name": names.topic(), "message_retention_duration": day})
    assert publisher.get_topic(topic=names.topic()).message_retention_duration == day


def test_topic_has_no_retention_of_its_own_by_default(publisher, topic):
    assert "message_retention_duration" not in publisher.get_topic(topic=topic)


# docs: reference/error-codes ALREADY_EXISTS
def test_second_creation_is_refused_by_the_sync_client(publisher, topic):
    with pytest.raises(exceptions.AlreadyExists):
        publisher.create_topic(name=topic)


async def test_second_creation_is_refused_by_the_async_client(async_publisher, topic):
    with pytest.raises(exceptions.AlreadyExists):
        await async_publisher.create_topic(name=topic)


async def test_second_creation_is_a_conflict_for_gcloud_aio(aio_publisher, topic):
    with pytest.raises(ClientResponseError) as refused:
        await aio_publisher.create_topic(topic)
    assert refused.value.status == 409


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda publisher, name: publisher.get_topic(topic=name), id="GetTopic"),
        pytest.param(
            lambda publisher, name: update(publisher, name, ["labels"], labels={"a": "b"}),
            id="UpdateTopic",
        ),
        pytest.param(lambda publisher, name: publisher.delete_topic(topic=name), id="DeleteTopic"),
        pytest.param(
            lambda publisher, name: list(publisher.list_topic_subscriptions(topic=name)),
            id="ListTopicSubscriptions",
        ),
        pytest.param(
            lambda publisher, name: publisher.publish(name, b"x").result(PATIENCE), id="Publish"
        ),
    ],
)
def test_unknown_topic_is_not_found(publisher, names, call):
    with pytest.raises(exceptions.NotFound):
        call(publisher, names.topic("unknown"))


@pytest.mark.parametrize("method", ["delete_topic", "publish"])
async def test_unknown_topic_is_404_for_gcloud_aio(aio_publisher, names, method):
    from gcloud.aio.pubsub import PubsubMessage

    more = ([PubsubMessage(b"x")],) if method == "publish" else ()
    with pytest.raises(ClientResponseError) as refused:
        await getattr(aio_publisher, method)(names.topic("unknown"), *more)
    assert refused.value.status == 404


# UpdateTopic; docs: reference/rest/v1/projects.topics/patch


def test_update_replaces_what_the_mask_names(publisher, names):
    publisher.create_topic(request={"name": names.topic(), "labels": {"old": "1", "kept": "2"}})
    updated = update(publisher, names.topic(), ["labels"], labels={"new": "3"})
    assert dict(updated.labels) == {"new": "3"}
    assert publisher.get_topic(topic=names.topic()) == updated


def test_update_leaves_what_the_mask_does_not_name(publisher, names):
    day = timedelta(days=1)
    publisher.create_topic(request={"name": names.topic(), "labels": {"a": "b"}})
    update(publisher, names.topic(), ["message_retention_duration"], message_retention_duration=day)
    topic = publisher.get_topic(topic=names.topic())
    assert (dict(topic.labels), topic.message_retention_duration) == ({"a": "b"}, day)


def test_update_clears_a_field_that_is_masked_and_unset(publisher, names):
    day = timedelta(days=1)
    publisher.create_topic(request={"name": names.topic(), "message_retention_duration": day})
    updated = update(publisher, names.topic(), ["message_retention_duration"])
    assert "message_retention_duration" not in updated


async def test_async_client_updates_a_topic(async_publisher, topic):
    updated = await async_publisher.update_topic(
        topic={"name": topic, "labels": {"a": "b"}}, update_mask={"paths": ["labels"]}
    )
    assert dict(updated.labels) == {"a": "b"}


@pytest.mark.parametrize(
    "mask", [[], ["colour"], ["name"]], ids=["nothing", "an unknown field", "the name"]
)
def test_topic_cannot_be_updated_by_a_mask_of(publisher, topic, invalid, mask):
    with invalid("update_mask"):
        update(publisher, topic, mask, labels={"a": "b"})


def test_refused_update_changes_nothing(publisher, names):
    publisher.create_topic(request={"name": names.topic(), "labels": {"a": "b"}})
    before = publisher.get_topic(topic=names.topic())
    mask = ["labels", "message_retention_duration"]
    with pytest.raises(exceptions.InvalidArgument):
        update(publisher, names.topic(), mask, message_retention_duration=timedelta(seconds=1))
    assert publisher.get_topic(topic=names.topic()) == before


@pytest.mark.parametrize(
    ("field", "mask"),
    [
        ("messageRetentionDuration", "messageRetentionDuration"),
        ("messageRetentionDuration", "message_retention_duration"),
        ("message_retention_duration", "messageRetentionDuration"),
    ],
)
async def test_rest_update_takes_both_spellings(rest, topic, field, mask):
    body = {"topic": {field: "86400s"}, "updateMask": mask}
    async with rest.patch(f"/v1/{topic}", json=body) as answer:
        assert answer.status == 200
        assert (await answer.json())["messageRetentionDuration"] == "86400s"


# Lists


def test_list_of_topics_comes_in_pages(publisher, names):
    wanted = {names.topic(f"t{number}") for number in range(5)}
    for name in wanted:
        publisher.create_topic(name=name)
    paged = publisher.list_topics(request={"project": names.project, "page_size": 2})
    pages = [[topic.name for topic in page.topics] for page in paged.pages]
    assert max(len(page) for page in pages) <= 2
    assert wanted <= {name for page in pages for name in page}


async def test_async_client_lists_topics(async_publisher, topic, names):
    paged = await async_publisher.list_topics(project=names.project)
    assert topic in [one.name async for one in paged]


async def test_page_token_leads_to_the_next_topics(aio_publisher, names):
    for label in ("a", "b"):
        await aio_publisher.create_topic(names.topic(label))
    first = await aio_publisher.list_topics(names.project, {"pageSize": "1"})
    token = first["nextPageToken"]
    second = await aio_publisher.list_topics(names.project, {"pageSize": "1", "pageToken": token})
    assert len(first["topics"]) == len(second["topics"]) == 1
    assert first["topics"] != second["topics"]


async def test_page_parameters_have_both_spellings(rest, names):
    for label in ("a", "b"):
        await rest.put(f"/v1/{names.topic(label)}", json={})
    async with rest.get(f"/v1/{names.project}/topics", params={"page_size": 1}) as answer:
        first = await answer.json()
    params = {"page_size": 1, "page_token": first["nextPageToken"]}
    async with rest.get(f"/v1/{names.project}/topics", params=params) as answer:
        second = await answer.json()
    assert first["topics"] != second["topics"]


def test_list_of_a_topics_subscriptions_comes_in_pages(publisher, topic, subscribe):
    wanted = sorted(subscribe(f"s{number}") for number in range(5))
    paged = publisher.list_topic_subscriptions(request={"topic": topic, "page_size": 2})
    pages = [list(page.subscriptions) for page in paged.pages]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(name for page in pages for name in page) == wanted


async def test_last_page_has_no_token(rest, topic, subscription):
    async with rest.get(f"/v1/{topic}/subscriptions") as answer:
        assert await answer.json() == {"subscriptions": [subscription]}


def test_topic_without_subscriptions_lists_none(publisher, topic):
    assert list(publisher.list_topic_subscriptions(topic=topic)) == []


def test_deleted_subscription_is_not_listed_with_its_topic(publisher, subscriber, topic, subscribe):
    kept, deleted = subscribe("kept"), subscribe("deleted")
    subscriber.delete_subscription(subscription=deleted)
    assert list(publisher.list_topic_subscriptions(topic=topic)) == [kept]


# docs: https://google.aip.dev/158 "If the user specifies a negative value ... INVALID_ARGUMENT"
def test_negative_page_size_is_refused(publisher, names, invalid):
    with invalid("page_size"):
        list(publisher.list_topics(request={"project": names.project, "page_size": -1}))


# DeleteTopic; docs: reference/rest/v1/projects.topics/delete


def test_subscription_of_a_deleted_topic_says_so(publisher, subscriber, topic, subscription):
    publisher.delete_topic(topic=topic)
    orphan = subscriber.get_subscription(subscription=subscription)
    assert orphan.topic == "_deleted-topic_"


def test_backlog_outlives_the_topic(publisher, subscriber, topic, subscription):
    publisher.publish(topic, b"before").result(PATIENCE)
    publisher.delete_topic(topic=topic)
    [received] = pulled(subscriber, subscription)
    assert received.message.data == b"before"


def test_recreated_topic_has_none_of_the_old_configuration(publisher, names):
    publisher.create_topic(request={"name": names.topic(), "labels": {"a": "b"}})
    publisher.delete_topic(topic=names.topic())
    publisher.create_topic(name=names.topic())
    assert dict(publisher.get_topic(topic=names.topic()).labels) == {}


def test_recreated_topic_has_none_of_the_old_subscriptions(
    publisher, subscriber, topic, subscription
):
    publisher.delete_topic(topic=topic)
    publisher.create_topic(name=topic)
    assert list(publisher.list_topic_subscriptions(topic=topic)) == []
    assert subscriber.get_subscription(subscription=subscription).topic == "_deleted-topic_"


def test_orphan_gets_nothing_of_the_recreated_topic(publisher, subscriber, names, subscribe):
    orphan = subscribe("orphan")
    publisher.publish(names.topic(), b"before").result(PATIENCE)
    publisher.delete_topic(topic=names.topic())
    publisher.create_topic(name=names.topic())
    new = names.subscription("new")
    subscriber.create_subscription(name=new, topic=names.topic())
    publisher.publish(names.topic(), b"after").result(PATIENCE)
    assert [one.message.data for one in pulled(subscriber, new)] == [b"after"]
    assert [one.message.data for one in pulled(subscriber, orphan)] == [b"before"]
