"""The examples of the reference: what it shows is what comes."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from asgi_tasks.messages import TaskMessage
from tests.processes import ROOT, running

from .pages import Project, assert_same, blocks

GYRINX = {
    "mysite/__init__.py": "",
    "mysite/work.py": """
from django.tasks import task

@task
def add(a, b):
    return a + b

@task
def send_welcome_email(user_id):
    pass
""",
    "mysite/task_routes.py": """
from asgi_tasks import TaskRoute
from mysite import work

task_routes = [TaskRoute(work.add, ack_deadline=60)]
""",
    "mysite/settings.py": """
SECRET_KEY = "mysite"
INSTALLED_APPS = ["asgi_tasks", "mysite"]
TASKS = {"default": {"BACKEND": "asgi_tasks.backends.PubSubBackend", "OPTIONS": {
    "project_id": "gyrinx-1", "environment": "prod", "topic_prefix": "gyrinx-tasks",
    "routes": "mysite.task_routes", "service_url": "https://gyrinx.app",
    "push_service_account": "pubsub-invoker@gyrinx-1.iam.gserviceaccount.com",
}}}
""",
}
LATER = """
task_routes = [TaskRoute(work.add), TaskRoute(work.send_welcome_email)]
"""


def consoles(page):
    return [block for block in blocks(page) if block.kind == "console"]


def lines(text):
    return sorted(re.sub(r"^\[\d/", "[", line) for line in text.splitlines())


def example(page):
    (block,) = [block for block in blocks(page) if block.kind == "json"]
    return block.text


def test_provisioning_and_pausing_print_what_is_shown(tmp_path, emulator):
    emulator.reset()
    env = {"DJANGO_SETTINGS_MODULE": "mysite.settings", "PUBSUB_EMULATOR_HOST": emulator.host}
    site = Project(tmp_path, GYRINX, **env)
    site.shell("python manage.py provision_tasks")
    site.write("mysite/task_routes.py", site.read("mysite/task_routes.py") + LATER)
    provisioned, paused = consoles("reference/provisioning.md")
    assert all(expected for block in (provisioned, paused) for _, expected in block.commands)
    for command, expected in provisioned.commands:
        # What is changed at once ends in any order.
        assert lines(site.shell(command)) == lines(expected)
    site.follow(paused)


def test_emulator_says_where_it_listens():
    ((command, expected), (export, _)) = consoles("reference/emulator.md")[0].commands
    assert "127.0.0.1:8085\n" in expected
    assert export == "export PUBSUB_EMULATOR_HOST=127.0.0.1:8085"
    with running(sys.executable, *command.split()[1:], "--port", "0") as process:
        process.wait_for("listening on .*\n")
        assert_same(expected.replace("8085", "..."), process.output, command)


def test_each_way_to_run_the_conformance_suite_collects_all_cases(tmp_path):
    env = dict(os.environ) | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    commands = consoles("reference/emulator.md")[1].commands
    for command, _ in commands:
        # Google's own needs a project, another emulator one that is there: what a test has not.
        collecting = f"{command.partition('#')[0]} --collect-only -q -p no:cacheprovider"
        done = subprocess.run(
            collecting,
            shell=True,
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "463 tests collected" in done.stdout, done.stdout[-500:] + done.stderr
    assert len(commands) == 3
    assert "a suite of 463 cases" in (ROOT / "docs/reference/emulator.md").read_text()


def test_record_of_a_message_has_the_fields_that_are_shown(site):
    task_id = site.enqueue("fail_twice", key="shown")
    (record,) = site.wait_until_settled(task_id)
    shown = json.loads(example("reference/emulator.md"))["messages"][0]
    assert record.keys() == shown.keys()
    assert record["deliveries"][0].keys() == shown["deliveries"][0].keys()
    with urllib.request.urlopen(f"{site.emulator.url}/emulator/messages", timeout=60) as answer:
        assert json.load(answer).keys() == {"messages"}


def test_message_that_is_shown_is_one():
    shown = example("reference/messages.md")
    message = TaskMessage.decode(shown.replace("…", "0a4c").encode())
    assert (message.task_name, message.kwargs) == ("send_receipt", {"order_id": 42})
    assert json.loads(message.encode()).keys() == json.loads(shown).keys()
