"""The pages about dead letters: their files and commands, carried out as they stand there."""

import argparse
import json
import os
import re
import subprocess
import sys
import urllib.request
from datetime import datetime

import pytest
from django.core.management import load_command_class
from google.pubsub_v1 import PublisherClient

from asgi_tasks.messages import TaskMessage, make_attributes
from asgi_tasks.provisioning.reporting import progress_bar
from asgi_tasks.testing import emulator_process
from tests.processes import ROOT, python

from .test_readme import SETTINGS, readme

HOW_TO = (ROOT / "docs/how-to/retries-and-dead-letters.md").read_text()
REFERENCE = (ROOT / "docs/reference/dead-letters.md").read_text()
FILE = re.compile(r"```python\n# (\S+\.py)[^\n]*\n(.*?)```", re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^(\d{16})  (\w+) +(\S{36})  (\S{20})", re.MULTILINE)
# What differs each time: when it died, and what only the writer of the page could sign.
CHANGING = re.compile(r"(?<=died                 )\S+|(?<=Z  )\S+Z|\b[0-9a-f]{64}\b")


@pytest.fixture
def shop(tmp_path):
    """The shop with the page's files, and its dead letters in an emulator: the environment."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    for path, text in FILE.findall(readme()) + FILE.findall(HOW_TO):
        (tmp_path / path).write_text(text)
    settings = tmp_path / "shop/settings.py"
    settings.write_text(SETTINGS + settings.read_text())
    with emulator_process(time_factor=0.02) as emulator:
        env = {
            "PYTHONPATH": f"{tmp_path}:{ROOT}",
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "PUBSUB_EMULATOR_HOST": emulator.host,
        }
        python("-m", "django", "provision_tasks", env=env)
        python("-m", "django", "task_pause", "send_receipt", env=env)
        yield tmp_path, env


def bury(env):
    """The dead letters that the page begins with; their ids here by their ids there."""
    text = next(block for block in CONSOLE.findall(HOW_TO) if "dead_letters list" in block)
    keys = {"22822a4d-8406-4c28-b76a-c1636086cf50": "another"}
    publisher, ids = make_publisher(env), {}
    for number, (there, task, task_id, enqueued_at) in enumerate(LINE.findall(text), 1):
        message = TaskMessage(
            task_id=task_id,
            task_name=task,
            args=[],
            kwargs={"order_id": number},
            enqueued_at=datetime.fromisoformat(enqueued_at),
        )
        data = message.encode()
        attributes = make_attributes(message, data, keys.get(task_id, "readme")) | {
            "CloudPubSubDeadLetterSourceDeliveryCount": "25",
            "CloudPubSubDeadLetterSourceSubscription": f"dev-tasks-{task.replace('_', '-')}-sub",
            "CloudPubSubDeadLetterSourceSubscriptionProject": "my-project",
        }
        letter = {"data": data, "attributes": dict(sorted(attributes.items()))}
        topic = "projects/my-project/topics/dev-tasks-dead-letter"
        answer = publisher.publish(request={"topic": topic, "messages": [letter]})
        ids[there] = answer.message_ids[0]
    publisher.transport.close()
    return ids


def make_publisher(env):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", env["PUBSUB_EMULATOR_HOST"])
        return PublisherClient()


def commands(ids):
    """Each command of the page and what it prints, with the ids they have here."""
    text = "".join(CONSOLE.findall(HOW_TO))
    text = re.sub("|".join(ids), lambda found: ids[found[0]], text)
    return re.findall(r"^\$ python manage\.py (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)


def same(text):
    """Without what differs each time, and without the line that each run begins with."""
    lines = [line for line in text.splitlines() if not line.startswith("Reading ")]
    return CHANGING.sub("…", "\n".join(lines))


def test_commands_of_the_how_to_print_what_it_shows(shop):
    folder, env = shop
    for command, expected in commands(bury(env)):
        done = subprocess.run(
            [sys.executable, "-m", "django", *command.split()],
            cwd=folder,
            env=os.environ | env | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert same(done.stdout) == same(expected), command
        assert (done.returncode == 0) == ("CommandError" not in expected)
    exported = (folder / "letters.jsonl").read_text().splitlines()
    assert {json.loads(line)["task_name"] for line in exported} == {"send_receipt", "send_invoice"}
    with urllib.request.urlopen(
        f"http://{env['PUBSUB_EMULATOR_HOST']}/emulator/messages"
    ) as answer:
        messages = json.load(answer)["messages"]
    replayed = [one for one in messages if "replayed_from" in one["attributes"]]
    assert len(replayed) == 3


def parsers():
    command = load_command_class("asgi_tasks", "dead_letters")
    (actions,) = [
        action
        for action in command.create_parser("manage.py", "dead_letters")._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    return actions.choices


def test_reference_has_every_action():
    assert set(re.findall(r"^\| `dead_letters (\w+)", REFERENCE, re.MULTILINE)) == set(parsers())


def test_reference_has_every_option_and_the_actions_it_is_of():
    rows = re.findall(r"^\| `(--[a-z-]+)[^`]*` \| ([a-z, ]+) \|", REFERENCE, re.MULTILINE)
    told = {
        (option, name)
        for option, names in rows
        for name in (parsers() if names == "all" else names.split(", "))
    }
    there = {
        (option, name)
        for name, parser in parsers().items()
        for action in parser._actions
        if action.help is not argparse.SUPPRESS
        for option in action.option_strings
    }
    assert told == there - {(option, name) for name in parsers() for option in ("-h", "--help")}


def test_every_action_says_that_reading_is_leasing():
    for parser in parsers().values():
        assert "under leases" in parser.format_help().replace("\n", " ").replace("  ", " ")


def test_reference_has_every_field_of_an_export():
    from asgi_tasks.dead_letters import DeadLetter, examine
    from asgi_tasks.management.dead_letters import as_document
    from asgi_tasks.routes import get_route_table

    letter = DeadLetter(
        message_id="1", data=b"", attributes={}, died_at=datetime.now().astimezone()
    )
    section = REFERENCE.split("## What an export holds")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    fields = {field for cell in cells for field in re.findall(r"`(\w+)`", cell)}
    assert fields == set(as_document(examine(letter, get_route_table("default"))))


def test_bar_is_as_it_is_shown():
    bars = re.findall(r"^(\[[#-]+\] (\d+)/(\d+))$", REFERENCE, re.MULTILINE)
    assert bars
    assert all(bar == progress_bar(int(done), int(total)) for bar, done, total in bars)


def test_message_page_names_the_attribute():
    from asgi_tasks.dead_letters import REPLAYED_FROM

    page = (ROOT / "docs/reference/messages.md").read_text()
    assert f"`{REPLAYED_FROM}`" in page
    assert f"`{REPLAYED_FROM}`" in REFERENCE
