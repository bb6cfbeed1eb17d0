"""Figures of the server's process, as a collector takes them."""

import pytest

from .collector import environment, plain

ROUTES = "tests.integration.telemetry.task_routes"
FAIL_ONCE = "test-site-fail-once-sub"


@pytest.fixture(scope="module")
def site(start_site, emulator, collected, tmp_path_factory):
    """The tests' site, which has enqueued, failed, retried and succeeded."""
    folder, told = tmp_path_factory.mktemp("site"), environment(collected)
    application = "tests.integration.telemetry.asgi:application"
    with start_site(emulator, folder, application=application, TESTS_ROUTES=ROUTES, **told) as site:
        site.wait_until_settled(site.enqueue("fail_once"), site.enqueue("look_sync"))
        yield site


def latest(collected, name, **attributes):
    """The value of a metric, or for a histogram how many were recorded, in the last export."""
    wanted = {key.replace("_", "."): value for key, value in attributes.items()}
    found = [metric for _, metric in list(collected.metrics) if metric.name == name]
    points = getattr(found[-1], found[-1].WhichOneof("data")).data_points if found else []
    return sum(
        point.count if hasattr(point, "bucket_counts") else point.as_int
        for point in points
        if wanted.items() <= plain(point.attributes).items()
    )


@pytest.mark.parametrize(
    ("name", "attributes", "value"),
    [
        (
            "messaging.client.sent.messages",
            {"messaging_destination_name": "test-site-fail-once"},
            1,
        ),
        ("messaging.client.operation.duration", {"messaging_operation_name": "send"}, 2),
        ("messaging.client.consumed.messages", {"error_type": "ValueError"}, 1),
        ("messaging.client.consumed.messages", {"messaging_destination_name": FAIL_ONCE}, 2),
        ("messaging.process.duration", {"messaging_destination_name": FAIL_ONCE}, 2),
        ("asgi_tasks.queue.duration", {"messaging_destination_name": FAIL_ONCE}, 1),
        ("asgi_tasks.retries", {"messaging_destination_name": FAIL_ONCE}, 1),
        ("asgi_tasks.certificate.fetches", {}, 1),
        ("asgi_tasks.lane.count", {}, 8),
        ("asgi_tasks.lane.pending_runs", {}, 0),
        ("asgi_tasks.active_deliveries", {"messaging_destination_name": FAIL_ONCE}, 0),
    ],
)
def test_figure_arrives(site, collected, name, attributes, value):
    collected.wait_for(lambda: any(metric.name == name for _, metric in collected.metrics))
    collected.wait_for(lambda: latest(collected, name, **attributes) == value)


def test_lag_of_the_loop_arrives(site, collected):
    collected.wait_for(lambda: latest(collected, "asgi_tasks.event_loop.lag") > 0)


def test_process_is_told_from_others(site, collected):
    instances = {resource["service.instance.id"] for resource, _ in collected.metrics}
    assert len(instances) == 1
