"""docs/reference/commands.md, or the page it links to, has every command and every option."""

import argparse
import re

import pytest
from daphne.cli import CommandLineInterface as DaphneInterface
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from asgi_tasks.emulator import cli
from asgi_tasks.server.__main__ import CommandLineInterface
from tests.processes import ROOT

FOLDER = ROOT / "docs" / "reference"
PAGE = (FOLDER / "commands.md").read_text()
COMMANDS = sorted(name for name, app in get_commands().items() if app == "asgi_tasks")


def page_of(command):
    """What the table links to: another page, or a section of this one."""
    row = next(row for row in re.findall(r"^\| \[(.+)$", PAGE, re.MULTILINE) if command in row)
    path, anchor = re.findall(r"\]\(([^)#]*)#?([^)]*)\)", row)[0]
    if path:
        return (FOLDER / path).read_text()
    return re.split(rf"^## {anchor}$", PAGE, flags=re.MULTILINE)[1].partition("\n## ")[0]


def options(parser):
    """Those of a parser and of its subcommands, and the names of these."""
    for action in parser._actions:
        yield from action.option_strings[-1:]
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices
            for sub in action.choices.values():
                yield from options(sub)


def missing(page, names):
    return [name for name in names if not re.search(rf"`[^`\n]*{re.escape(name)}\b", page)]


@pytest.mark.parametrize("command", COMMANDS)
def test_management_command_is_there_with_its_options(command):
    parser = load_command_class("asgi_tasks", command).create_parser("manage.py", command)
    common = set(options(BaseCommand().create_parser("manage.py", command)))
    own = [name for name in options(parser) if name not in common]
    assert missing(page_of(f"`{command}"), own) == []


def test_emulator_is_there_with_its_options():
    parser = argparse.ArgumentParser(add_help=False)
    cli.add_arguments(parser)
    assert missing(page_of("`python -m asgi_tasks.emulator`"), options(parser)) == []


def test_server_is_there_with_what_it_adds_to_daphne():
    own = set(options(CommandLineInterface().parser)) - set(options(DaphneInterface().parser))
    assert own
    assert missing(page_of("`python -m asgi_tasks.server`"), own) == []


def test_every_module_that_runs_is_there():
    mains = (ROOT / "asgi_tasks").rglob("__main__.py")
    modules = [f"python -m asgi_tasks.{path.parent.name}" for path in mains]
    assert missing(PAGE, modules) == []


def test_table_has_no_command_that_is_none():
    table = PAGE.partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| \[.*?\]\(", table, re.MULTILINE))))
    assert named == set(COMMANDS)
