"""The backlogs that Cloud Monitoring tells, and task_status by them."""

import json
import sys
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from asgi_tasks.management.commands.task_status import Command
from asgi_tasks.provisioning.backlogs import CloudMonitoring
from asgi_tasks.provisioning.problems import CallFailed

from .monitoring import MESSAGES, OLDEST, running_metrics

ADD, FAIL, DEAD_LETTERS = (f"test-site-{name}-sub" for name in ("add", "fail", "dead-letter"))
ROLE = (
    "gcloud projects add-iam-policy-binding tests "
    "--member=serviceAccount:WHO_RUNS_THIS --role=roles/monitoring.viewer"
)


@pytest.fixture
def metrics():
    with running_metrics() as (service, transport):
        service.transport = transport
        yield service


@pytest.fixture
def backlogs(metrics):
    """What is told of the subscriptions whose ids start like this."""

    def read(prefix="test-site-", timeout=10):
        monitoring = CloudMonitoring("tests", timeout=timeout, transport=metrics.transport())
        return monitoring.backlogs(prefix)

    return read


@pytest.fixture
def status(project, metrics):
    """Runs task_status by Cloud Monitoring, on a site that is provisioned."""
    project.provision()

    class ByMonitoring(Command):
        def source(self, options, *, timeout):
            transport = metrics.transport()
            return CloudMonitoring(options.project_id, timeout=timeout, transport=transport)

    return lambda *arguments: project.run(*arguments, command=ByMonitoring())


def subscription(name):
    return f"projects/tests/subscriptions/{name}"


class TestCloudMonitoring:
    def test_newest_figures_count(self, metrics, backlogs):
        metrics.report(ADD, 500, 900, minutes_ago=4)
        metrics.report(ADD, 7, 60, minutes_ago=2)
        metrics.report(ADD, 400, 800, minutes_ago=3)
        (backlog,) = backlogs().values()
        age = datetime.now(UTC) - backlog.at
        assert (backlog.messages, backlog.oldest) == (7, 60)
        assert timedelta(minutes=2) <= age < timedelta(minutes=3)

    def test_every_page_is_read_and_others_are_left_out(self, metrics, backlogs):
        names = [f"test-site-{number}-sub" for number in range(7)]
        for number, name in enumerate([*names, "prod-site-0-sub"]):
            metrics.report(name, number, 0)
        assert {name: one.messages for name, one in backlogs().items()} == {
            subscription(name): number for number, name in enumerate(names)
        }

    def test_one_query_a_metric_whatever_the_number_of_subscriptions(self, metrics, backlogs):
        metrics.report(ADD, 1, 1)
        metrics.report(FAIL, 1, 1)
        backlogs()
        assert [MESSAGES in r.filter for r in metrics.requests] == [True, False]
        assert [OLDEST in r.filter for r in metrics.requests] == [False, True]

    def test_figures_of_an_hour_ago_are_none(self, metrics, backlogs):
        metrics.report(ADD, 1, 1, minutes_ago=60)
        assert backlogs() == {}

    def test_busy_service_is_asked_again(self, metrics, backlogs):
        metrics.report(ADD, 3, 1)
        metrics.refuse(grpc.StatusCode.UNAVAILABLE, "busy", count=2)
        assert backlogs()[subscription(ADD)].messages == 3

    def test_service_that_stays_away_is_given_up(self, metrics, backlogs):
        metrics.refuse(grpc.StatusCode.UNAVAILABLE, "away")
        with pytest.raises(CallFailed, match="backlogs from Cloud Monitoring: 503 away"):
            backlogs(timeout=0.5)

    def test_denied_reader_is_told_the_role(self, metrics, backlogs):
        metrics.refuse(grpc.StatusCode.PERMISSION_DENIED, "no")
        with pytest.raises(CallFailed) as caught:
            backlogs()
        assert caught.value.missing == "monitoring.timeSeries.list"
        assert caught.value.commands == (ROLE,)

    def test_api_that_is_off_is_told_by_its_name(self, metrics, backlogs):
        message = "Cloud Monitoring API has not been used in project 1 before or it is disabled."
        metrics.refuse(grpc.StatusCode.PERMISSION_DENIED, message)
        with pytest.raises(CallFailed) as caught:
            backlogs()
        assert caught.value.commands == (
            "gcloud services enable monitoring.googleapis.com --project=tests",
        )

    def test_caller_who_is_not_logged_in_is_told_how(self, monkeypatch, tmp_path):
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        with pytest.raises(CallFailed) as caught:
            CloudMonitoring("tests", timeout=1).backlogs("test-site-")
        assert caught.value.commands == ("gcloud auth application-default login",)


class TestStatus:
    def report_all(self, metrics, messages=0, oldest=0):
        for name in (ADD, FAIL, DEAD_LETTERS):
            metrics.report(name, messages, oldest)

    def test_nothing_that_waits_is_all_well(self, status, metrics):
        self.report_all(metrics)
        done = status()
        assert (done.code, done.error) == (0, "")
        assert "by Cloud Monitoring." in done.out

    def test_old_backlog_leads_to_the_log(self, status, metrics):
        self.report_all(metrics)
        metrics.report(ADD, 1204, 7 * 3600, minutes_ago=1)
        done = status()
        assert (done.code, done.error) == (2, "1 thing needs a person.")
        lines = done.out.splitlines()
        assert (
            lines[-2] == "add: 1,204 messages wait, the oldest for 7 h; it is deleted in 6 d 17 h"
        )
        names = f'jsonPayload.task_name="add" OR jsonPayload.subscription:"{ADD}"'
        assert lines[-1].startswith(f"    gcloud logging read '({names}) AND severity>=WARNING' ")
        assert "add          as its route says  1,204     7 h" in lines

    def test_backlog_may_be_as_old_as_one_says(self, status, metrics):
        self.report_all(metrics)
        metrics.report(ADD, 3, 7 * 3600, minutes_ago=1)
        assert [status(f"--max-age={age}").code for age in (25_199, 25_200)] == [2, 0]

    def test_dead_letters_need_a_person_however_young(self, status, metrics):
        self.report_all(metrics)
        metrics.report(DEAD_LETTERS, 2, 60, minutes_ago=1)
        done = status()
        assert done.code == 2
        assert done.out.endswith(
            "dead-letter: 2 dead letters wait, the oldest for 1 min; it is deleted in 30 d 23 h\n"
            "    python manage.py dead_letters list\n"
        )

    def test_denied_reader_sees_all_else(self, status, metrics):
        metrics.refuse(grpc.StatusCode.PERMISSION_DENIED, "no")
        done = status()
        assert done.code == 1
        assert "add          as its route says  ?         ?" in done.out.splitlines()
        assert done.error.splitlines()[1:] == [
            "    Missing: monitoring.timeSeries.list",
            f"    {ROLE}",
        ]

    def test_what_is_known_to_need_a_person_counts_more_than_what_is_not_known(
        self, status, project, metrics
    ):
        metrics.refuse(grpc.StatusCode.PERMISSION_DENIED, "no")
        project.run("add", command="task_pause")
        done = status()
        assert done.code == 2
        assert ROLE in done.out
        assert "task_resume add" in done.out

    def test_failure_is_in_the_json(self, status, metrics):
        metrics.refuse(grpc.StatusCode.PERMISSION_DENIED, "no")
        document = json.loads(status("--json").out)
        assert document["backlogs"]["failure"]["commands"] == [ROLE]
        assert {task["messages"] for task in document["tasks"]} == {None}

    def test_no_figure_at_all_is_not_known(self, status):
        done = status()
        assert (done.code, done.error) == (1, "Cloud Monitoring tells no backlog at all.")

    def test_subscription_without_figures_is_named(self, status, metrics):
        metrics.report(ADD, 0, 0)
        metrics.report(DEAD_LETTERS, 0, 0)
        done = status()
        assert done.code == 0
        assert done.out.splitlines()[-1].endswith(": fail.")

    def test_without_the_extra_one_line_says_how_to_install_it(self, status, monkeypatch):
        monkeypatch.setitem(sys.modules, "google.cloud.monitoring_v3", None)
        done = status()
        assert done.code == 1
        assert done.error.endswith("pip install 'asgi-tasks[monitoring]'")
        assert len(done.error.splitlines()) == 1
        assert "add          as its route says  ?         ?" in done.out.splitlines()
