"""Google's Topic <-> the broker's."""

from typing import Final

from google.pubsub_v1 import types

from asgi_tasks.emulator.api import checks
from asgi_tasks.emulator.api.checks import DAY, MINUTE, Protobuf
from asgi_tasks.emulator.broker.model import Topic

FIELDS: Final = frozenset(
    {"name", "labels", "kms_key_name", "message_storage_policy", "message_retention_duration"}
)
OUTPUT_ONLY: Final = frozenset({"state", "satisfies_pzs"})
IMMUTABLE: Final = frozenset({"name", "tags"})


def read(resource: Protobuf) -> Topic:
    checks.checked_name("topics", "name", resource.name)
    checks.check_supported(resource, FIELDS, OUTPUT_ONLY)
    if resource.HasField("message_retention_duration"):
        retention = checks.seconds(resource.message_retention_duration)
        checks.within("message_retention_duration", retention, 10 * MINUTE, 31 * DAY)
    return Topic(name=resource.name, resource=resource)


def write(topic: Topic) -> Protobuf:
    resource = types.Topic.pb()()
    resource.CopyFrom(topic.resource)
    resource.state = types.Topic.State.ACTIVE
    return resource


def merged(current: Topic, request: Protobuf) -> Topic:
    """The topic after an UpdateTopicRequest."""
    resource = types.Topic.pb()()
    resource.CopyFrom(current.resource)
    checks.merge(request, request.topic, resource, IMMUTABLE)
    return read(resource)
