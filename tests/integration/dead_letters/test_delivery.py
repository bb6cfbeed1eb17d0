"""Real dead letters of a real site: forwarded by the broker, replayed, pushed and run."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from google.pubsub_v1 import PublisherClient

from asgi_tasks.messages import make_attributes
from tests.pushes import KEY, make_message


@pytest.fixture(autouse=True)
def _host(site, monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", site.emulator.host)


def run(*arguments):
    out = StringIO()
    call_command("dead_letters", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def found(task_id):
    rows = json.loads(run("list", "--json"))["dead_letters"]
    return [row for row in rows if row["task_id"] == task_id]


def test_task_that_failed_for_good_is_listed_replayed_and_dies_again(site):
    task_id = site.enqueue("fail")
    site.wait_until_settled(task_id)
    (row,) = site.wait_until(lambda: found(task_id))
    assert row["task_name"] == "fail"
    assert row["delivery_attempts"] == 5
    assert row["signature"] == "good"
    assert row["source_subscription"] == "projects/tests/subscriptions/test-site-fail-sub"
    runs = len(site.effects("fail"))
    assert run("replay", task_id) == "Replayed 1 dead letter.\n"
    (again,) = site.wait_until(lambda: found(task_id))
    assert again["message_id"] != row["message_id"]
    assert len(site.effects("fail")) == runs + 5


def test_what_was_mended_runs(site):
    message = make_message("add", 20, 22)
    data = message.encode()
    publisher = PublisherClient()
    attributes = make_attributes(message, data, KEY) | {
        "CloudPubSubDeadLetterSourceSubscription": "test-site-add-sub",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "tests",
    }
    letter = {"data": data, "attributes": attributes}
    topic = "projects/tests/topics/test-site-dead-letter"
    publisher.publish(request={"topic": topic, "messages": [letter]})
    publisher.transport.close()
    run("replay", message.task_id)
    (record,) = site.wait_until_settled(message.task_id)
    assert [delivery["status"] for delivery in record["deliveries"]] == [204]
    assert len(site.effects("add", result=42)) == 1
