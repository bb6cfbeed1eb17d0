"""provision_tasks where something is refused, used up or in its way."""

import subprocess
import sys
from datetime import date

import pytest

from asgi_tasks.backends import require_backend
from asgi_tasks.provisioning import (
    PubSubAdmin,
    Status,
    apply,
    desired,
    read_and_plan,
    service_agent,
)
from tests.sites import site_environment

from .conftest import AGENT

ROLE = "gcloud projects add-iam-policy-binding tests --member=serviceAccount:WHO_RUNS_THIS --role="
ACTING = (
    "gcloud iam service-accounts add-iam-policy-binding pusher@tests.iam.gserviceaccount.com "
    "--member=serviceAccount:WHO_RUNS_THIS --role=roles/iam.serviceAccountUser"
)
PUBLISHING = (
    "gcloud pubsub topics add-iam-policy-binding test-site-dead-letter --project=tests "
    f"--member={AGENT} --role=roles/pubsub.publisher"
)
SUBSCRIBING = (
    f"gcloud projects add-iam-policy-binding tests --member={AGENT} --role=roles/pubsub.subscriber"
)


def stale_plan(wanted, admin):
    return read_and_plan(wanted, admin, date(2026, 11, 22))


def provisioned_routes(project):
    """The routes whose subscription is there, granted and unmarked."""
    role = "roles/pubsub.subscriber"
    return {
        one["labels"]["route"]
        for name, one in project.subscriptions().items()
        if "asgi-tasks-grants" not in one["labels"] and project.has_grant(name, role)
    }


@pytest.mark.parametrize(
    ("call", "permission"),
    [("ListTopics", "pubsub.topics.list"), ("ListSubscriptions", "pubsub.subscriptions.list")],
)
def test_list_that_is_refused_changes_nothing(project, call, permission):
    project.refuse(call)
    done = project.run()
    assert done.code == project.run("--check").code == 1
    assert permission in done.error
    assert ROLE + "roles/pubsub.editor" in done.error
    assert project.calls().keys() <= {"ListTopics", "ListSubscriptions"}


class TestOneCallRefused:
    """The other routes are done, and the summary names what is missing."""

    @pytest.fixture(autouse=True)
    def dead_letters(self, project):
        project.use("none")
        project.provision()
        project.use("three")

    def assert_explained(self, project, done, *texts):
        assert done.code == 1
        assert [text for text in texts if text not in done.error] == []
        self.assert_mended(project)

    def assert_mended(self, project):
        project.emulator.clear_faults()
        project.provision()
        assert provisioned_routes(project) == {"add", "echo", "fail"}
        assert project.run("--check", "--verify-iam").code == 0

    def test_create_topic(self, project):
        project.refuse("CreateTopic", count=1)
        done = project.run()
        assert len(provisioned_routes(project)) == 2
        self.assert_explained(
            project, done, "Missing: pubsub.topics.create.", ROLE + "roles/pubsub.editor", "Skipped"
        )

    def test_create_subscription(self, project):
        project.refuse("CreateSubscription", count=1)
        done = project.run()
        assert len(provisioned_routes(project)) == 2
        self.assert_explained(
            project,
            done,
            "pubsub.subscriptions.create or pubsub.topics.attachSubscription or "
            "iam.serviceAccounts.actAs",
            ROLE + "roles/pubsub.editor",
            ACTING,
            "has no subscription yet: what is published to it now is lost",
        )

    def test_get_iam_policy_of_a_subscription(self, project):
        self.refuse_after_the_dead_letters(project)
        done = project.run()
        assert len(provisioned_routes(project)) == 2
        self.assert_explained(project, done, "pubsub.subscriptions.getIamPolicy", SUBSCRIBING)

    def refuse_after_the_dead_letters(self, project):
        project.emulator.fault("call.delay", call="GetIamPolicy", seconds=0.001, count=1)
        project.refuse("GetIamPolicy", count=1)

    def test_set_iam_policy_of_a_subscription(self, project):
        project.refuse("SetIamPolicy", count=1)
        done = project.run()
        assert len(provisioned_routes(project)) == 2
        self.assert_explained(project, done, "pubsub.subscriptions.setIamPolicy", SUBSCRIBING)

    def test_update_subscription(self, project):
        project.refuse("UpdateSubscription", count=1)
        done = project.run()
        assert len(provisioned_routes(project)) == 2
        self.assert_explained(
            project, done, "pubsub.subscriptions.update", ROLE + "roles/pubsub.editor"
        )

    def test_update_topic(self, project):
        project.provision()
        project.change("projects/tests/topics/test-site-add", "labels")
        project.change("projects/tests/topics/test-site-fail", "labels")
        project.refuse("UpdateTopic", count=1)
        done = project.run()
        assert done.error.startswith("1 of 2 changes not made: 1 failed.")
        self.assert_explained(project, done, "pubsub.topics.update", ROLE + "roles/pubsub.editor")

    @pytest.mark.parametrize(
        ("call", "permission"),
        [
            ("DeleteSubscription", "pubsub.subscriptions.delete"),
            ("DeleteTopic", "pubsub.topics.delete"),
        ],
    )
    def test_delete(self, project, call, permission):
        project.provision()
        project.use("none")
        project.refuse(call, count=1)
        done = project.run("--prune", "--force")
        assert len(project.topics()) == 2
        assert (done.code, permission in done.error) == (1, True)
        project.provision("--prune", "--force")
        assert len(project.topics()) == len(project.subscriptions()) == 1

    @pytest.mark.parametrize(
        ("call", "permission"),
        [("GetTopic", "pubsub.topics.get"), ("GetSubscription", "pubsub.subscriptions.get")],
    )
    def test_second_look(self, project, call, permission):
        done = self.overtaken(project, refused=call)
        failures = [one.error for one in done if not one.is_good]
        assert [failure.missing for failure in failures] == [permission]

    def test_second_look_finds_all_done(self, project):
        done = self.overtaken(project)
        assert {one.status for one in done} == {Status.FOUND}

    def overtaken(self, project, refused=None):
        """The outcome of a plan that somebody else carried out meanwhile."""
        wanted = desired(require_backend().routes, agent=service_agent("tests"))
        with PubSubAdmin("tests") as admin:
            plan = stale_plan(wanted, admin)
            project.provision()
            if refused:
                project.refuse(refused, count=1)
            return apply(plan, admin)


class TestDeadLetterTopicRefused:
    def test_nothing_that_needs_it_is_made(self, project):
        project.refuse("CreateTopic", count=1)
        done = project.run()
        assert "9 of 9 changes not made: 1 failed, 8 skipped." in done.error
        assert project.topics() == {}

    def test_it_may_be_subscribed_to_later(self, project):
        project.refuse("CreateSubscription", count=1)
        assert project.run().code == 1
        assert provisioned_routes(project) == {"add", "fail"}


class TestNoPoliciesAllowed:
    """An operator without setIamPolicy."""

    @pytest.fixture(autouse=True)
    def refusing(self, project):
        project.refuse("SetIamPolicy")
        self.done = project.run()

    def test_everything_but_the_grants_is_done(self, project):
        assert self.done.error.startswith("3 of 9 changes not made: 3 failed.")
        assert len(project.topics()) == len(project.subscriptions()) == 3

    def test_two_commands_are_for_somebody_who_may(self):
        assert self.done.code == 1
        assert self.done.error.count("gcloud") == 2
        assert PUBLISHING in self.done.error
        assert SUBSCRIBING in self.done.error
        assert "--no-grants" in self.done.error

    def test_grants_made_by_somebody_else_are_seen(self, project):
        topic = "projects/tests/topics/test-site-dead-letter"
        publisher = {"role": "roles/pubsub.publisher", "members": [AGENT]}
        project.emulator.clear_faults()
        project.set_policy(topic, publisher)
        for name in ("add", "fail"):
            subscriber = {"role": "roles/pubsub.subscriber", "members": [AGENT]}
            project.set_policy(f"projects/tests/subscriptions/test-site-{name}-sub", subscriber)
        project.refuse("SetIamPolicy")
        project.provision()
        assert project.run("--check", "--verify-iam").code == 0

    def test_grants_on_the_project_are_not_seen_and_not_asked_for(self, project):
        assert project.run().code == 1
        project.provision("--no-grants")

    def test_policies_that_cannot_be_read_are_an_error_of_check(self, project):
        project.refuse("GetIamPolicy")
        done = project.run("--check")
        assert (done.code, "--no-grants" in done.error) == (1, True)


def test_operator_who_may_not_read_policies_gets_everything_but_the_grants(project):
    project.refuse("GetIamPolicy")
    done = project.run()
    assert done.error.startswith("3 of 9 changes not made: 3 failed.")
    assert done.error.count("gcloud") == 2
    assert PUBLISHING in done.error
    assert SUBSCRIBING in done.error


class TestQuota:
    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize("call", ["ListTopics", "CreateTopic", "SetIamPolicy", None])
    def test_call_is_tried_again(self, project, call, status):
        project.refuse(call, status=status, count=3)
        project.provision()
        assert provisioned_routes(project) == {"add", "fail"}

    @pytest.mark.parametrize("status", [429, 503])
    def test_call_is_given_up_in_time(self, project, status):
        project.refuse("CreateSubscription", status=status)
        done = project.run("--timeout=0.5")
        assert done.code == 1
        assert f"{status} This fault was asked for." in done.error

    def test_list_is_given_up_in_time(self, project):
        project.refuse("ListTopics", status=429)
        done = project.run("--timeout=0.5")
        assert done.error == "Could not list the topics: 429 This fault was asked for."


def test_broker_out_of_reach_is_one_line(emulator, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "django", "provision_tasks", "--timeout", "1"],
        env=site_environment(emulator, tmp_path, 1) | {"PUBSUB_EMULATOR_HOST": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("CommandError: Could not list the topics: ")
    assert (done.returncode, done.stdout) == (1, "")
