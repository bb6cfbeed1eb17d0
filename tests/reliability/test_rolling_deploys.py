"""Two revisions of a site, one after the other and side by side, behind one subscription.

The one at the service's address gets the pushes; the other one only enqueues.
"""

from types import SimpleNamespace

import pytest
from django.tasks import default_task_backend
from google.cloud.pubsub_v1 import SubscriberClient

from asgi_tasks.messages import PushEnvelope, TaskMessage, is_signed
from tests.processes import free_port
from tests.pushes import KEY

OLD, NEW, SECOND_VERSION = (
    f"tests.reliability.revisions.{name}" for name in ("old", "new", "second_version")
)
ACKNOWLEDGED = {102, 200, 201, 202, 204}


@pytest.fixture(scope="module")
def revisions(start_site, emulator, tmp_path_factory):
    """Starts revisions: live(routes) gets the pushes, beside(routes) does not."""
    port, folder = free_port(), tmp_path_factory.mktemp("deploy")
    service = f"http://127.0.0.1:{port}"

    def live(routes):
        return start_site(emulator, folder, port=port, TESTS_ROUTES=routes)

    def beside(routes):
        return start_site(emulator, folder, TESTS_ROUTES=routes, TESTS_SERVICE_URL=service)

    return SimpleNamespace(live=live, beside=beside)


@pytest.fixture(scope="module")
def deploy(revisions, emulator):
    """One rolling deploy: the records of all that was enqueued, by who it greets, and the effects.

    The backlog is made by a failed push for each subscription, which then waits for the clock.
    """
    tasks = {}
    with revisions.live(OLD) as old, revisions.beside(NEW) as new:
        tasks["early"] = new.enqueue("greet", name="early")
        old.wait_until_settled(tasks["early"])
        tasks["unknown"] = new.enqueue("celebrate", name="unknown")
        tasks["too early"] = new.enqueue("welcome_new_user", name="too early")
        wait_for_status(old, 404, tasks["unknown"], tasks["too early"])
        emulator.clock.freeze()
        emulator.fault("push.fail", status=503)
        backlog = {"gang": old.enqueue("send_welcome", name="gang")}
        backlog["late"] = old.enqueue("greet", name="late")
        backlog["removed"] = old.enqueue("farewell", name="removed")
        backlog["renamed"] = old.enqueue("report", campaign="renamed", style="plain")
        wait_for_status(old, 503, *backlog.values())
        emulator.clear_faults()
        backlog |= {f"gang {n}": old.enqueue("send_welcome", name=f"gang {n}") for n in range(10)}
    with revisions.live(NEW) as new, revisions.beside(OLD) as old:
        emulator.clock.resume()
        tasks["from the old"] = old.enqueue("send_welcome", name="from the old")
        tasks["from the new"] = new.enqueue("welcome_new_user", name="from the new")
        tasks |= backlog
        records = new.wait_until_settled(*tasks.values())
        return SimpleNamespace(
            tasks=tasks,
            records=dict(zip(tasks, records, strict=True)),
            effects=new.effects(),
        )


def wait_for_status(site, status, *task_ids):
    def answered():
        return all(status in statuses(site.deliveries(task_id)) for task_id in task_ids)

    site.wait_until(answered)


def statuses(record):
    return [delivery["status"] for delivery in record["deliveries"]] if record else []


def ran(deploy, name):
    """Where a task ran, as revision and task; each run is one entry."""
    return [(e["revision"], e["task"]) for e in deploy.effects if e["name"] == name]


def test_nothing_is_acknowledged_that_did_not_run(deploy):
    acknowledged = {
        name: sum(status in ACKNOWLEDGED for status in statuses(record))
        for name, record in deploy.records.items()
    }
    assert acknowledged == {name: len(ran(deploy, name)) for name in deploy.records}


# What the next revision mends


def test_task_unknown_to_the_live_revision_runs_in_the_next(deploy):
    assert 404 in statuses(deploy.records["unknown"])
    assert ran(deploy, "unknown") == [("new", "celebrate")]


def test_new_name_waits_for_the_new_revision(deploy):
    assert 404 in statuses(deploy.records["too early"])
    assert ran(deploy, "too early") == [("new", "welcome_new_user")]


def test_message_of_a_newer_version_runs_in_the_next_revision(revisions, emulator):
    with revisions.live(NEW) as old, revisions.beside(SECOND_VERSION) as new:
        task_id = new.enqueue("celebrate", name="newer")
        wait_for_status(new, 404, task_id)
        assert old.effects(name="newer") == []
        emulator.clock.freeze()
    with revisions.live(SECOND_VERSION) as site:
        emulator.clock.resume()
        (record,) = site.wait_until_settled(task_id)
    assert set(statuses(record)[:-1]).isdisjoint(ACKNOWLEDGED)
    assert record["state"] == "acknowledged"
    assert len(site.effects(name="newer")) == 1


# What crosses the deploy


def test_backlog_of_a_renamed_task_runs_under_its_new_name(deploy):
    for number in range(10):
        record = deploy.records[f"gang {number}"]
        assert record["topic"] == "projects/tests/topics/test-site-send-welcome"
        assert ran(deploy, f"gang {number}") == [("new", "welcome_new_user")]


@pytest.mark.parametrize("name", ["from the old", "from the new"])
def test_either_revision_enqueues_by_its_own_name_while_the_new_one_runs(deploy, name):
    assert statuses(deploy.records[name]) == [204]
    assert ran(deploy, name) == [("new", "welcome_new_user")]


def test_task_that_became_a_coroutine_runs_in_either_revision(deploy):
    assert ran(deploy, "early") == [("old", "greet")]
    assert ran(deploy, "late") == [("new", "greet")]


# What no revision mends


@pytest.mark.parametrize(
    ("name", "task", "arguments", "status"),
    [
        ("removed", "farewell", {"name": "removed"}, 404),
        ("renamed", "report", {"campaign": "renamed", "style": "plain"}, 400),
    ],
    ids=["removed task", "renamed argument"],
)
def test_what_no_revision_can_run_is_a_dead_letter_with_all_its_evidence(
    deploy, dead_letters, name, task, arguments, status
):
    record = deploy.records[name]
    assert record["state"] == "dead_lettered"
    assert statuses(record) == [503] + [status] * 4
    assert ran(deploy, name) == []
    task_id = deploy.tasks[name]
    assert_evidence(dead_letters[task_id], record, task_id, task, arguments)


@pytest.fixture(scope="module")
def dead_letters(deploy, emulator):
    """What an operator pulls with Google's client, by the task's id."""
    subscription = default_task_backend.routes.dead_letter_subscription
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
        with SubscriberClient() as client:
            answer = client.pull(subscription=subscription, max_messages=10)
    return {each.message.attributes["task_id"]: each.message for each in answer.received_messages}


def assert_evidence(letter, record, task_id, task, arguments):
    """The original message, provably ours, and where it comes from."""
    message = TaskMessage.decode(letter.data)
    assert (message.task_id, message.task_name, message.kwargs) == (task_id, task, arguments)
    attributes = dict(letter.attributes)
    ours = PushEnvelope(
        data=letter.data,
        attributes=attributes,
        message_id=letter.message_id,
        subscription=record["subscription"],
    )
    assert is_signed(message, ours, [KEY])
    source = "CloudPubSubDeadLetterSource"
    published = attributes.pop(f"{source}TopicPublishTime")
    assert published.startswith(record["published_at"][:19])
    assert attributes == record["attributes"] | {
        f"{source}DeliveryCount": "5",
        f"{source}Subscription": record["subscription"].rpartition("/")[2],
        f"{source}SubscriptionProject": "tests",
    }
