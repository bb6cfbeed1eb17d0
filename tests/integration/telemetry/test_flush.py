"""What was not sent yet when SIGTERM comes is sent before the server's process ends."""

import pytest

from .collector import environment

ROUTES = "tests.integration.telemetry.task_routes"
APPLICATION = "tests.integration.telemetry.asgi:application"
NEVER = {"OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_METRIC_EXPORT_INTERVAL": "3600000"}


@pytest.fixture
def stopped_site(start_site, emulator, collected, tmp_path):
    told = environment(collected) | NEVER
    with start_site(
        emulator, tmp_path, application=APPLICATION, TESTS_ROUTES=ROUTES, **told
    ) as site:
        site.wait_until_settled(site.enqueue("look"))
        assert collected.named("process test-site-look-sub") == []
        assert site.process.stop() == 0


def test_last_spans_and_figures_are_sent_at_sigterm(stopped_site, collected):
    collected.wait_for(lambda: collected.named("process test-site-look-sub"))
    collected.wait_for(
        lambda: any(m.name == "messaging.process.duration" for _, m in collected.metrics)
    )
