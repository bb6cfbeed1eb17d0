"""`manage.py task_routes --live` against the emulator."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from asgi_tasks.testing import emulator_process
from tests.site.task_routes import task_routes

AS_IT_SHOULD_BE = "as its route says"


def run(*arguments):
    output = StringIO()
    call_command("task_routes", "--live", *arguments, stdout=output)
    return output.getvalue()


def deployed():
    return json.loads(run("--json"))["deployed"]


@pytest.fixture
def host(monkeypatch):
    with emulator_process() as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
        yield emulator.host


@pytest.fixture
def _provisioned(host):
    call_command("provision_tasks", stdout=StringIO())


@pytest.fixture
def subscriber(host):
    with SubscriberClient() as client:
        yield client


def subscription(name):
    return f"projects/tests/subscriptions/test-site-{name}-sub"


@pytest.mark.usefixtures("_provisioned")
def test_what_is_provisioned_is_as_its_route_says():
    names = [name for route in task_routes for name in route.names]
    assert deployed() == dict.fromkeys([*names, "dead-letter"], AS_IT_SHOULD_BE)


@pytest.mark.usefixtures("host")
def test_what_is_not_provisioned_is_missing():
    assert set(deployed().values()) == {"no topic; no subscription"}


@pytest.mark.usefixtures("_provisioned")
def test_drift_is_shown_as_it_is_and_should_be(subscriber):
    wrong = {"name": subscription("wait"), "ack_deadline_seconds": 90}
    mask = {"paths": ["ack_deadline_seconds"]}
    subscriber.update_subscription(request={"subscription": wrong, "update_mask": mask})
    found = deployed()
    assert found.pop("wait") == "ack_deadline_seconds is 90, not 60"
    assert set(found.values()) == {AS_IT_SHOULD_BE}


@pytest.mark.usefixtures("_provisioned")
def test_subscription_that_was_deleted_is_missing(subscriber):
    subscriber.delete_subscription(subscription=subscription("add"))
    assert deployed()["add"] == "no subscription"


@pytest.mark.usefixtures("_provisioned")
def test_subscription_without_its_topic_cannot_be_mended(host):
    publisher = PublisherClient()
    publisher.delete_topic(topic="projects/tests/topics/test-site-add")
    publisher.stop()
    publisher.transport.close()
    assert deployed()["add"].startswith("its topic was deleted")


@pytest.mark.usefixtures("_provisioned")
def test_pause_is_shown_with_its_date():
    call_command("task_pause", "add", stdout=StringIO())
    assert deployed()["add"].startswith("paused since 20")


@pytest.mark.usefixtures("_provisioned")
def test_table_has_a_line_for_each_name():
    line = next(line for line in run().splitlines() if line.startswith("old_add   "))
    assert line.split(maxsplit=1)[1] == AS_IT_SHOULD_BE


def test_reader_without_the_right_to_list_is_told_which(monkeypatch):
    with emulator_process() as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
        emulator.fault("call.error", status=403)
        with pytest.raises(CommandError, match=r"pubsub\.topics\.list"):
            run()
