"""The commands and their page of the reference, without Pub/Sub."""

import re
import subprocess
import sys

import pytest
from django.core.management import BaseCommand, get_commands, load_command_class

from tests.processes import ROOT

PAGE = (ROOT / "docs" / "reference" / "provisioning.md").read_text()


def options(name):
    """Its own, not those that every command has."""
    command = load_command_class(get_commands()[name], name)
    every = {action.dest for action in BaseCommand().create_parser("", "")._actions}
    parser = command.create_parser("", "")
    return [action for action in parser._actions if action.dest not in every]


def test_page_has_every_option():
    names = [action.option_strings[0] for action in options("provision_tasks")]
    assert re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE) == names


@pytest.mark.parametrize("name", ["provision_tasks", "task_pause", "task_resume"])
def test_every_option_says_what_it_does(name):
    assert [action.dest for action in options(name) if not action.help] == []


def test_google_is_loaded_when_it_is_used_and_not_before():
    code = (
        "import django, sys; django.setup(); import asgi_tasks.provisioning; "
        "print([name for name in sys.modules if name.startswith(('google.cloud', 'grpc'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "tests.site.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
