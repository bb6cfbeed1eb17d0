"""The dashboard, the alerts, and the script that installs them. Google is not asked."""

import json
import logging
import re

import pytest
from django.core.management import get_commands
from google.cloud.monitoring_v3 import AlertPolicy
from google.protobuf import json_format

from asgi_tasks import EnqueueRefused, EnqueueUnconfirmed
from asgi_tasks.logs import CloudFormatter
from tests.processes import ROOT
from tests.tooling.gcloud import FakeGcloud

from .instruments import instruments

DASHBOARD = ROOT / "docker" / "dashboard.json"
ALERTS = sorted((ROOT / "docker" / "alerts").glob("*.json"))
# What Pub/Sub reports, and by which labels:
# https://cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-pubsub
METRICS = {
    "pubsub.googleapis.com/subscription/num_undelivered_messages": set(),
    "pubsub.googleapis.com/subscription/oldest_unacked_message_age": set(),
    "pubsub.googleapis.com/subscription/dead_letter_message_count": set(),
    "pubsub.googleapis.com/subscription/push_request_count": {"response_class", "response_code"},
    "pubsub.googleapis.com/subscription/push_request_latencies": {"response_code"},
    "pubsub.googleapis.com/topic/send_request_count": {"response_class", "response_code"},
}
RESOURCES = {"pubsub_subscription": "subscription_id", "pubsub_topic": "topic_id"}

an_alert = pytest.mark.parametrize("path", ALERTS, ids=lambda path: path.stem)


def strings(document):
    """Every string in a document, with its key."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from strings(value)
        elif isinstance(value, str):
            yield key, value


def load(path):
    return json.loads(path.read_text())


def filters():
    documents = [load(path) for path in (DASHBOARD, *ALERTS)]
    found = [v for d in documents for k, v in strings(d) if k in ("filter", "denominatorFilter")]
    return [text for text in found if "metric.type" in text]


def queries():
    return [value for key, value in strings(load(DASHBOARD)) if key == "prometheusQuery"]


# Alerts


def test_there_are_four_alerts():
    assert [path.stem for path in ALERTS] == [
        "dead-letters",
        "enqueue-failures",
        "oldest-message",
        "push-failures",
    ]


@an_alert
def test_alert_is_a_policy_of_cloud_monitorings(path):
    policy = AlertPolicy.pb(AlertPolicy())
    json_format.ParseDict(load(path), policy)
    (condition,) = policy.conditions
    assert policy.display_name == f"prod-gyrinx-tasks: {condition.display_name}"
    assert policy.combiner == AlertPolicy.ConditionCombinerType.OR


@an_alert
def test_alert_says_what_to_do_by_commands_that_exist(path):
    content = load(path)["documentation"]["content"]
    assert "\n\n**Do:** " in content
    named = set(re.findall(r"python manage\.py (\w+)", content))
    assert named <= get_commands().keys()


def test_alert_on_enqueues_finds_the_log_lines_of_their_errors():
    (condition,) = load(ROOT / "docker/alerts/enqueue-failures.json")["conditions"]
    pattern = re.search(
        r'jsonPayload\.stack_trace =~ "([^"]+)"', condition["conditionMatchedLog"]["filter"]
    )[1]
    for kind in (EnqueueRefused, EnqueueUnconfirmed):
        try:
            raise kind("Pub/Sub did not answer.")
        except kind as error:
            info = (kind, error, error.__traceback__)
        record = logging.LogRecord("site", logging.ERROR, "x.py", 1, "No.", (), info)
        line = json.loads(CloudFormatter(project_id="p").format(record))
        assert line["severity"] == "ERROR"
        assert re.search(pattern, line["stack_trace"])


# Names


@pytest.mark.parametrize("text", filters())
def test_filter_names_what_pubsub_reports(text):
    metric = re.search(r'metric\.type = "([^"]+)"', text)[1]
    resource = re.search(r'resource\.type = "([^"]+)"', text)[1]
    assert set(re.findall(r"metric\.label\.(\w+)", text)) <= METRICS[metric]
    assert set(re.findall(r"resource\.label\.(\w+)", text)) == {RESOURCES[resource]}
    assert metric.split("/")[1] in resource
    assert "prod-gyrinx-tasks-" in text


@pytest.mark.parametrize("text", queries())
def test_query_names_what_asgi_tasks_measures(text):
    known = {name for _, name, *_ in instruments()}
    (name, *_) = re.findall(r'\{"([\w.]+)"', text)
    assert name.removesuffix("_bucket") in known


def test_dashboard_shows_every_metric_of_asgi_tasks():
    shown = {name for text in queries() for name in re.findall(r'\{"([\w.]+?)(?:_bucket)?"', text)}
    assert shown == {name for _, name, *_ in instruments()}


def test_dashboard_shows_google_s_metrics_first():
    kinds = [
        "prometheusQuery" in json.dumps(tile) for tile in load(DASHBOARD)["mosaicLayout"]["tiles"]
    ]
    assert kinds == sorted(kinds)


def test_tiles_do_not_overlap():
    taken = set()
    for tile in load(DASHBOARD)["mosaicLayout"]["tiles"]:
        x, y = tile.get("xPos", 0), tile.get("yPos", 0)
        cells = {(x + i, y + j) for i in range(tile["width"]) for j in range(tile["height"])}
        assert not cells & taken
        assert x + tile["width"] <= 48
        taken |= cells


# The script


@pytest.fixture
def gcloud(tmp_path):
    return FakeGcloud(tmp_path)


def test_script_makes_the_dashboard_and_each_alert(gcloud):
    done = gcloud.run("telemetry.sh", ENVIRONMENT="staging")
    assert done.returncode == 0, done.stderr
    created = [(typed, json.loads(text)) for typed, text in gcloud.calls if " create " in typed]
    assert [typed.split(" create ")[0] for typed, _ in created] == [
        "monitoring dashboards",
        *["alpha monitoring policies"] * 4,
    ]
    assert all("staging-gyrinx-tasks" in doc["displayName"] for _, doc in created)
    assert "prod-gyrinx" not in json.dumps([doc for _, doc in created])
    assert "NOTIFICATION_CHANNELS" in done.stderr


def test_script_run_again_makes_nothing(gcloud):
    gcloud.answers("list", stdout="projects/my-project/something/1\n")
    done = gcloud.run("telemetry.sh")
    assert done.returncode == 0
    assert not [typed for typed in gcloud.typed if " create " in typed]
    assert done.stderr.count("there already: prod-gyrinx-tasks") == 5


def test_script_tells_the_channels(gcloud):
    channel = "projects/my-project/notificationChannels/1"
    gcloud.run("telemetry.sh", NOTIFICATION_CHANNELS=channel)
    policies = [typed for typed in gcloud.typed if "policies create" in typed]
    assert all(typed.endswith(f"--notification-channels={channel}") for typed in policies)


@pytest.mark.parametrize("call", ["services enable", "policies list", "dashboards create"])
def test_script_stops_at_what_fails(gcloud, call):
    gcloud.fails(call, "PERMISSION_DENIED: no")
    done = gcloud.run("telemetry.sh")
    assert done.returncode == 1
    assert "telemetry.sh: stopped at: gcloud" in done.stderr


def test_print_contacts_nobody(gcloud):
    done = gcloud.run("telemetry.sh", "--print")
    assert (done.returncode, done.stderr, gcloud.calls) == (0, "", [])
    assert len(done.stdout.splitlines()) == 6
