"""What an emulator may lack: it says so, and never takes a setting that it will not honour."""

from datetime import UTC, datetime

import pytest
from google.api_core import exceptions
from google.pubsub_v1 import SchemaServiceAsyncClient

from .conftest import transport

pytestmark = pytest.mark.emulator_only

PUSH = {"push_endpoint": "https://example.com/push"}
SUBSCRIPTION_FIELDS = {
    "exactly-once delivery": {"enable_exactly_once_delivery": True},
    "unwrapped pushes": {"push_config": PUSH | {"no_wrapper": {"write_metadata": True}}},
    "export to BigQuery": {"bigquery_config": {"table": "p.d.t"}},
    "export to Cloud Storage": {"cloud_storage_config": {"bucket": "bucket"}},
    "transforms": {
        "message_transforms": [{"javascript_udf": {"function_name": "f", "code": "function f(){}"}}]
    },
}
TOPIC_FIELDS = {
    "schemas": {"schema_settings": {"schema": "projects/p/schemas/s"}},
    "ingestion": {
        "ingestion_data_source_settings": {
            "cloud_storage": {"bucket": "bucket", "text_format": {"delimiter": ","}}
        }
    },
}


@pytest.mark.parametrize("fields", SUBSCRIPTION_FIELDS.values(), ids=SUBSCRIPTION_FIELDS)
def test_subscription_without(subscribe, fields):
    with pytest.raises(exceptions.MethodNotImplemented):
        subscribe(**fields)


@pytest.mark.parametrize("fields", TOPIC_FIELDS.values(), ids=TOPIC_FIELDS)
def test_topic_without(publisher, names, fields):
    with pytest.raises(exceptions.MethodNotImplemented):
        publisher.create_topic(request={"name": names.topic(), **fields})


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(
            lambda client, name, snapshot: client.create_snapshot(name=snapshot, subscription=name),
            id="CreateSnapshot",
        ),
        pytest.param(
            lambda client, name, snapshot: client.get_snapshot(snapshot=snapshot), id="GetSnapshot"
        ),
        pytest.param(
            lambda client, name, snapshot: client.delete_snapshot(snapshot=snapshot),
            id="DeleteSnapshot",
        ),
        pytest.param(
            lambda client, name, snapshot: client.list_snapshots(project="projects/p"),
            id="ListSnapshots",
        ),
        pytest.param(
            lambda client, name, snapshot: client.update_snapshot(
                request={"snapshot": {"name": snapshot}, "update_mask": {"paths": ["labels"]}}
            ),
            id="UpdateSnapshot",
        ),
        pytest.param(
            lambda client, name, snapshot: client.seek(
                request={"subscription": name, "time": datetime.now(UTC)}
            ),
            id="Seek",
        ),
        pytest.param(
            lambda client, name, snapshot: list(
                client.streaming_pull(
                    iter([{"subscription": name, "stream_ack_deadline_seconds": 10}])
                )
            ),
            id="StreamingPull",
        ),
    ],
)
def test_subscriber_call(subscriber, subscription, names, call):
    with pytest.raises(exceptions.MethodNotImplemented):
        call(subscriber, subscription, f"{names.project}/snapshots/snap")


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(
            lambda client, topic, subscription: client.detach_subscription(
                request={"subscription": subscription}
            ),
            id="DetachSubscription",
        ),
        pytest.param(
            lambda client, topic, subscription: client.list_topic_snapshots(topic=topic),
            id="ListTopicSnapshots",
        ),
    ],
)
def test_publisher_call(publisher, topic, subscription, call):
    with pytest.raises(exceptions.MethodNotImplemented):
        call(publisher, topic, subscription)


async def test_schemas(endpoint):
    client = SchemaServiceAsyncClient(transport=transport(SchemaServiceAsyncClient, endpoint))
    with pytest.raises(exceptions.MethodNotImplemented):
        await client.list_schemas(parent="projects/p")
    await client.transport.close()


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("PUT", "/v1/projects/p/snapshots/snap"),
        ("GET", "/v1/projects/p/snapshots"),
        ("GET", "/v1/projects/p/schemas"),
        ("POST", "/v1/projects/p/subscriptions/sub:seek"),
        ("POST", "/v1/projects/p/subscriptions/sub:detach"),
    ],
)
async def test_rest_call(rest, verb, path):
    async with rest.request(verb, path, json={}) as answer:
        assert answer.status == 501
        assert (await answer.json())["error"]["status"] == "UNIMPLEMENTED"
