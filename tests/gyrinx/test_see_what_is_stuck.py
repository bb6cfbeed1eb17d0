"""The pages about commands, one by one, in production's names: Pub/Sub is the emulator."""

import re
import shlex
import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command, load_command_class

from asgi_tasks import publishers
from asgi_tasks.management.commands.task_status import Command as TaskStatus
from asgi_tasks.provisioning.backlogs import CloudMonitoring
from asgi_tasks.testing import emulator_process
from tests.integration.provisioning.monitoring import running_metrics
from tests.processes import ROOT

BLOCK = re.compile(r"^```console\n\$ python manage.py (.*)\n((?:.*\n)*?)^```", re.MULTILINE)
GANG = uuid.UUID(int=9)
HOUR = 3600
OPTIONS = {
    "project_id": "gyrinx-1",
    "environment": "prod",
    "topic_prefix": "gyrinx-tasks",
    "routes": "gyrinx.task_routes",
    "service_url": "https://gyrinx.app",
    "push_service_account": "pubsub-invoker@gyrinx-1.iam.gserviceaccount.com",
}
# When it was: another each time.
MOMENT = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?|[0-9a-f]{8}-(?!0000)[0-9a-f-]{27}")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _pubsub(settings, monkeypatch):
    backend = "asgi_tasks.backends.PubSubBackend"
    settings.TASKS = {"default": {"BACKEND": backend, "OPTIONS": OPTIONS}}
    with emulator_process(time_factor=100) as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
        call_command("provision_tasks", verbosity=0)
        call_command("task_pause", "recalculate_list_costs", stdout=StringIO())
        yield
        publishers.stop()


@pytest.fixture
def commands():
    """Those of the page; task_status by Cloud Monitoring, as it is at that night."""
    with running_metrics(project="gyrinx-1") as (metrics, transport):
        for task, messages, oldest in (
            ("send-welcome-email", 42, 2 * HOUR),
            ("recalculate-list-costs", 1204, 3 * HOUR),
            ("generate-campaign-report", 0, 0),
            ("refresh-campaign", 1, 12),
            ("log-analytics-event", 0, 0),
            ("dead-letter", 3, 26 * HOUR),
        ):
            metrics.report(f"prod-gyrinx-tasks-{task}-sub", messages, oldest)

        class ByMonitoring(TaskStatus):
            def source(self, options, *, timeout):
                transport_ = transport()
                return CloudMonitoring(options.project_id, timeout=timeout, transport=transport_)

        yield (
            lambda name: (
                ByMonitoring() if name == "task_status" else load_command_class("asgi_tasks", name)
            )
        )


def shown(command, *arguments):
    """What a terminal shows."""
    output = StringIO()
    try:
        call_command(command, *arguments, stdout=output)
    except CommandError as error:
        output.write(f"CommandError: {error}\n")
    return output.getvalue()


@pytest.mark.usefixtures("_pubsub")
@pytest.mark.parametrize(
    ("page", "count"), [("how-to/see-what-is-stuck.md", 5), ("reference/commands.md", 2)]
)
def test_commands_show_what_the_page_shows(commands, make, page, count):
    make.gang((310, 2), (60, 0), pk=GANG)
    blocks = BLOCK.findall((ROOT / "docs" / page).read_text())
    assert len(blocks) == count
    for line, expected in blocks:
        name, *arguments = shlex.split(line)
        found = shown(commands(name), *arguments)
        assert MOMENT.sub("-", found) == MOMENT.sub("-", expected), found
