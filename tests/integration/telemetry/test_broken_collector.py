"""A collector that is away, or hangs: it costs log lines and nothing else."""

import contextlib
import socket

import pytest

from tests.processes import free_port

ROUTES = "tests.integration.telemetry.task_routes"
APPLICATION = "tests.integration.telemetry.asgi:application"


@contextlib.contextmanager
def away():
    yield free_port()


@contextlib.contextmanager
def hanging():
    """It takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("broken", [away, hanging])
def test_broken_collector_costs_nothing_but_log_lines(start_site, emulator, tmp_path, broken):
    with broken() as port:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
            "TESTS_ROUTES": ROUTES,
        }
        with start_site(emulator, tmp_path, application=APPLICATION, **told) as site:
            tasks = [site.enqueue("look"), site.enqueue("look_sync", view="enqueue")]
            records = site.wait_until_settled(*tasks)
            assert site.process.stop() == 0
    assert [record["state"] for record in records] == ["acknowledged", "acknowledged"]
    assert [len(record["deliveries"]) for record in records] == [1, 1]
    assert "Exiting although something still runs" not in site.process.output
