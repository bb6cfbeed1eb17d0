"""Google's own publisher begins a trace, and the site goes on with it."""

import json
import uuid

import pytest
from google.cloud import pubsub_v1

from .collector import environment

ROUTES = "tests.integration.telemetry.task_routes"
TOPIC = "projects/tests/topics/test-site-echo"


@pytest.fixture
def site(start_site, emulator, collected, tmp_path):
    application = "tests.integration.telemetry.asgi:application"
    told = environment(collected)
    with start_site(
        emulator, tmp_path, application=application, TESTS_ROUTES=ROUTES, **told
    ) as site:
        yield site


@pytest.fixture
def publish(emulator, monkeypatch):
    """Publish by Google's client, which traces it."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
    options = pubsub_v1.types.PublisherOptions(enable_open_telemetry_tracing=True)
    client = pubsub_v1.PublisherClient(publisher_options=options)
    yield lambda message: client.publish(TOPIC, json.dumps(message).encode()).result(30)
    client.stop()
    client.transport.close()


def test_run_continues_the_trace_of_googles_publisher(site, spans, publish, collected):
    message_id = publish(
        {
            "v": 1,
            "task_id": str(uuid.uuid4()),
            "task_name": "echo",
            "args": ["hello"],
            "kwargs": {},
            "enqueued_at": "2026-01-01T00:00:00Z",
        }
    )
    ((run),) = collected.wait_for(lambda: collected.named("process test-site-echo-sub"))
    assert run.attributes["messaging.message.id"] == message_id
    assert run.status == "UNSET"
    created = spans.one("test-site-echo create").context
    assert run.trace_id == f"{created.trace_id:032x}"
    assert run.parent_id == f"{created.span_id:016x}"
