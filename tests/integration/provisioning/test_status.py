"""`manage.py task_status` against the emulator."""

import json
import subprocess
import sys

import pytest
from google.cloud.pubsub_v1 import PublisherClient

from asgi_tasks import publishers
from tests.processes import free_port
from tests.site import tasks
from tests.sites import site_environment


@pytest.fixture
def status(project):
    yield lambda *arguments: project.run(*arguments, command="task_status")
    publishers.stop()  # what enqueued here is for this emulator


@pytest.fixture
def publisher(project):
    client = PublisherClient()
    yield client
    client.stop()
    client.transport.close()


@pytest.fixture
def document(status):
    """The JSON; its tasks by name."""

    def read(*arguments):
        found = json.loads(status("--json", *arguments).out)
        return found | {"tasks": {task["name"]: task for task in found["tasks"]}}

    return read


def lines_of(done, name):
    """What the table and the end of the output say of a task."""
    lines = done.out.splitlines()
    return [line for line in lines if line.startswith((f"{name} ", f"{name}:"))]


def test_provisioned_site_is_all_well(project, status):
    project.provision()
    done = status()
    assert (done.code, done.error) == (0, "")
    names = [line.split()[0] for line in done.out.splitlines()[2:5]]
    assert names == ["add", "fail", "dead-letter"]


def test_site_without_topics_is_told_once_what_to_run(status):
    done = status()
    assert done.code == 2
    assert done.out.endswith(
        "add, fail, dead-letter: no topic; no subscription\n    python manage.py provision_tasks\n"
    )


def test_drift_is_shown_and_leads_to_provisioning(project, status, document):
    project.provision()
    name = "projects/tests/subscriptions/test-site-add-sub"
    project.change(name, "ackDeadlineSeconds", ackDeadlineSeconds=90)
    done = status()
    assert done.code == 2
    assert "add: ack_deadline_seconds is 90, not 300" in done.out.splitlines()
    assert document()["tasks"]["add"]["drift"] == ["ack_deadline_seconds is 90, not 300"]


def test_subscription_that_is_gone_is_missing(project, status, document):
    project.provision()
    project.delete("projects/tests/subscriptions/test-site-add-sub")
    assert status().code == 2
    task = document()["tasks"]["add"]
    assert [task[key] for key in ("has_topic", "has_subscription", "messages")] == [
        True,
        False,
        None,
    ]


def test_subscription_past_mending_leads_to_its_removal(project, status):
    project.provision()
    project.delete("projects/tests/topics/test-site-add")
    assert status().out.splitlines()[-1] == (
        "    gcloud pubsub subscriptions delete test-site-add-sub --project=tests"
    )


def test_paused_task_tells_since_when_and_what_waits(project, status, document):
    project.provision()
    project.run("add", command="task_pause")
    for number in range(3):
        tasks.add.enqueue(number, 0)
    done = status()
    assert done.code == 2
    *_, problem, command = done.out.splitlines()
    assert problem.startswith("add: paused since 20")
    assert ", and 3 messages wait, the oldest for " in problem
    assert command == "    python manage.py task_resume add"
    task = document()["tasks"]["add"]
    assert (task["messages"], task["paused_since"][:2]) == (3, "20")


def test_message_that_waits_too_long_needs_a_person(project, status):
    project.provision()
    project.emulator.clock.freeze()
    tasks.add.enqueue(1, 2)  # nobody answers at the endpoint
    project.emulator.clock.advance(1801)
    done = status()
    assert done.code == 2
    assert lines_of(done, "add")[1] == (
        "add: 1 message waits, for 30 min 1 s; it is deleted in 6 d 23 h"
    )
    assert "emulator/messages?subscription=" in done.out.splitlines()[-1]
    assert status("--max-age=4000").code == 0


def test_dead_letters_are_counted_with_their_age(project, publisher, status, document):
    project.provision()
    project.emulator.clock.freeze()
    for _ in range(2):
        publisher.publish("projects/tests/topics/test-site-dead-letter", b"{}").result(10)
    project.emulator.clock.advance(2 * 86_400)
    done = status()
    assert done.code == 2
    assert "dead-letter: 2 dead letters wait, the oldest for 2 d; it is deleted in 29 d" in done.out
    assert done.out.endswith("    python manage.py dead_letters list\n")
    found = document()["dead_letters"]
    assert found["messages"] == 2
    assert found["oldest"] == 2 * 86_400


def test_alias_has_a_line_of_its_own(project, status, document):
    project.use("after_rename")
    project.provision()
    assert lines_of(status(), "sum_up")[0].startswith("sum_up (add_together)  as its route says")
    assert document()["tasks"]["sum_up"]["alias_of"] == "add_together"


def test_messages_without_a_route_need_a_person(project, status, document):
    project.use("two")
    project.provision()
    tasks.add.enqueue(1, 2)
    project.use("none")
    done = status()
    assert done.code == 2
    assert "test-site-add-sub: no route needs it any more, and 1 message waits, for " in done.out
    assert [one["messages"] for one in document()["left_over"]] == [1]


def test_messages_are_those_of_the_emulator_and_of_now(project, document):
    project.provision()
    now = project.emulator.clock.now()
    backlogs = document()["backlogs"]
    assert backlogs["source"] == "the emulator"
    assert backlogs["as_of"] >= now.isoformat()


def test_status_without_backlogs_asks_for_none(project, status):
    project.provision()
    project.calls()
    tasks.add.enqueue(1, 2)
    done = status("--no-backlog", "--max-age=0")
    assert (done.code, lines_of(done, "add")) == (
        0,
        ["add          as its route says  -         -"],
    )


def test_status_changes_nothing(project, status):
    project.provision()
    before = project.everything()
    project.calls()
    status()
    assert project.calls() == {"ListTopics": 1, "ListSubscriptions": 1}
    assert project.everything() == before


def test_reader_without_the_right_to_list_is_told_which(project, status):
    project.refuse("ListTopics")
    done = status("--json")
    assert done.code == 1
    assert "pubsub.topics.list" in done.error
    assert json.loads(done.out)["missing"] == "pubsub.topics.list"


def test_settings_without_the_backend_say_which_to_choose(status, settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    done = status()
    assert (done.code, "--settings" in done.error) == (1, True)


def test_age_that_is_none_is_refused(status):
    assert "-1 is not a number from 0 up" in status("--max-age=-1").error


def test_broker_out_of_reach_is_one_line(emulator, tmp_path):
    env = site_environment(emulator, tmp_path, 1)
    done = subprocess.run(
        [sys.executable, "-m", "django", "task_status", "--timeout", "1"],
        env=env | {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{free_port()}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("CommandError: Could not list the topics: ")
    assert (done.returncode, done.stdout) == (1, "")
