"""docs/how-to/read-the-logs.md tells of the lines that are really written."""

import json
import logging
import re
import shlex
import subprocess

from asgi_tasks.deliveries import Outcome
from asgi_tasks.logs import LONGEST_LINE, LONGEST_TEXT, LONGEST_TRACEBACK
from tests.processes import ROOT, python

PAGE = (ROOT / "docs" / "how-to" / "read-the-logs.md").read_text()
SITE = """
import sys
sys.stderr = sys.stdout  # what is read here
import django
from django.conf import settings
{}
settings.configure(LOGGING=LOGGING)
django.setup()
import logging
logging.getLogger("asgi_tasks").info("text", extra={{"task_id": "7"}})
logging.getLogger("django.tasks").error("text")
"""


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_setting_of_the_page_works():
    [setting] = blocks("python")
    [line] = python("-c", SITE.format(setting)).splitlines()
    assert json.loads(line)["task_id"] == "7"


def test_queries_ask_for_fields_that_lines_have():
    [example] = map(json.loads, blocks("json"))
    known = example.keys() | {"status", "subscription", "result"}
    asked = {
        field for query in blocks("text") for field in re.findall(r"jsonPayload\.(\w+)", query)
    }
    assert asked >= {"task_id", "task_name", "outcome", "attempt", "duration_ms", "status"}
    assert asked <= known


def test_table_has_every_outcome_with_its_severity_and_answer():
    rows = re.findall(r"^\| `([^`]+)` \| ([A-Z]+) \| (\d+)", PAGE, re.MULTILINE)
    expected = {(one.word, logging.getLevelName(one.level), str(one.status)) for one in Outcome}
    assert set(rows) == expected


def test_limits_are_those_of_the_code():
    for limit in (LONGEST_TEXT, LONGEST_TRACEBACK, LONGEST_LINE):
        assert f" {limit:,}" in PAGE


def test_log_of_the_demo_is_searched_as_shown(tmp_path):
    [command] = [
        line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()
    ]
    program, task_id, path = shlex.split(command)
    log = tmp_path / path
    log.parent.mkdir(parents=True)
    log.write_text(f'{{"task_id": "{task_id}"}}\n{{"task_id": "another"}}\n')
    found = subprocess.run(
        [program, task_id, path], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [json.loads(line)["task_id"] for line in found.stdout.splitlines()] == [task_id]
