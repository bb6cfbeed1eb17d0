"""docs/how-to/watch-with-prometheus.md, carried out."""

import re
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.pages import blocks
from tests.processes import ROOT, free_port

from .instruments import instruments

PAGE = "how-to/watch-with-prometheus.md"
ROUTES = "tests.integration.telemetry.task_routes"
TEXT = (ROOT / "docs" / PAGE).read_text()
NAMES = dict(re.findall(r"^\| `(\w+)` \| `([\w.]+)` \|$", TEXT, re.MULTILINE))


@pytest.fixture(scope="module")
def families(start_site, emulator, tmp_path_factory):
    """What Prometheus would read, after a task has failed and succeeded, and a push was refused."""
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    (folder / "mysite").mkdir()
    (folder / "mysite" / "__init__.py").touch()
    for block in blocks(PAGE):
        if block.kind == "python":
            path = re.findall(r"`(mysite/\w+\.py)`", block.before)[-1]
            (folder / path).write_text(block.text.replace("9464", str(port)))
    how = {"application": "mysite.asgi:application", "TESTS_ROUTES": ROUTES}
    with start_site(emulator, folder, PYTHONPATH=f"{folder}:{ROOT}", **how) as site:
        site.wait_until_settled(site.enqueue("fail_once"), site.enqueue("look_sync"))
        stranger = urllib.request.Request(site.endpoint, b"{}", method="POST")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(stranger)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            return {f.name: f for f in text_string_to_metric_families(answer.read().decode())}


@pytest.mark.parametrize("name", NAMES)
def test_metric_has_the_name_that_the_page_shows(families, name):
    family = families[name.removesuffix("_total")]
    assert family.samples
    assert {"counter": "_total", "histogram": "_seconds", "gauge": ""}[family.type] in name


def test_page_names_every_metric():
    assert sorted(NAMES.values()) == sorted(name for _, name, *_ in instruments())


def test_labels_are_those_that_the_queries_name(families):
    failed = [
        sample.value
        for sample in families["messaging_client_consumed_messages"].samples
        if sample.labels.get("error_type") == "ValueError"
        and sample.labels["messaging_destination_name"] == "test-site-fail-once-sub"
    ]
    assert failed == [1]


def test_queries_name_what_there_is(families):
    known = {sample.name for family in families.values() for sample in family.samples}
    asked = {
        name
        for block in blocks(PAGE)
        if block.kind == "promql"
        for name in re.findall(r"(?:messaging|asgi_tasks)_\w+(?=[\[{)])", block.text)
    } - {"messaging_destination_name"}
    assert asked <= known
    assert asked
