"""The rules about a topic's fields."""

import pytest
from google.pubsub_v1 import types

from asgi_tasks.emulator.api import topics
from asgi_tasks.emulator.errors import InvalidArgument, Unimplemented
from tests.unit.emulator.scene import SUB, TOPIC


def read(**fields):
    return topics.read(types.Topic.pb(types.Topic({"name": TOPIC, **fields})))


def update(current, mask, **fields):
    request = types.UpdateTopicRequest(topic={"name": TOPIC, **fields}, update_mask={"paths": mask})
    return topics.merged(current, types.UpdateTopicRequest.pb(request))


def seconds(number):
    return {"seconds": number}


def test_what_was_given_is_given_back():
    topic = read(labels={"a": "b"}, message_retention_duration=seconds(600))
    written = topics.write(topic)
    assert topic.name == written.name == TOPIC
    assert dict(written.labels) == {"a": "b"}
    assert written.message_retention_duration.seconds == 600


def test_topic_is_active():
    assert topics.write(read()).state == types.Topic.State.ACTIVE


def test_what_only_google_sets_is_dropped():
    assert not topics.write(read(satisfies_pzs=True)).satisfies_pzs


def test_writing_leaves_the_brokers_own_form_alone():
    topic = read()
    topics.write(topic).labels["a"] = "b"
    assert not topic.resource.labels


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": "tasks"}, "name"),
        ({"name": SUB}, "name"),
        ({"message_retention_duration": seconds(599)}, "message_retention_duration"),
        ({"message_retention_duration": seconds(31 * 86_400 + 1)}, "message_retention_duration"),
    ],
)
def test_wrong_field_is_refused_by_name(fields, named):
    with pytest.raises(InvalidArgument) as refused:
        read(**fields)
    assert refused.value.message.startswith(f"{named}: ")


def test_what_would_be_ignored_is_refused():
    with pytest.raises(Unimplemented, match=r"^schema_settings: the emulator does not support it"):
        read(schema_settings={"schema": "projects/p/schemas/s"})


def test_update_changes_what_the_mask_names_and_nothing_else():
    current = read(labels={"a": "b"})
    retention = seconds(3_600)
    updated = update(current, ["message_retention_duration"], message_retention_duration=retention)
    assert updated.resource.message_retention_duration.seconds == 3_600
    assert dict(updated.resource.labels) == {"a": "b"}
    assert not current.resource.HasField("message_retention_duration")


@pytest.mark.parametrize("mask", [[], ["nonsense"], ["name"]])
def test_update_with_a_mask_that_cannot_be_is_refused(mask):
    with pytest.raises(InvalidArgument, match=r"^update_mask: "):
        update(read(), mask)
