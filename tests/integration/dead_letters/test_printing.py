"""Commands whose standard output is full, or that nobody reads: told once, and nothing is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    ["dead_letters", "list"],
    ["dead_letters", "list", "--json"],
    ["dead_letters", "show", "ID"],
    ["dead_letters", "export", "-"],
    ["dead_letters", "replay", "--dry-run"],
    ["dead_letters", "discard", "--all", "--no-input"],
    ["task_status", "--json", "--max-age=9999"],
    ["task_routes"],
    ["run_task", "add", "--args", "[1, 2]"],
]


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def printing(request, box):
    """The exit status and standard error of a command with this standard output."""
    _, env = box.command()
    env |= {"PYTHONUNBUFFERED": request.param}

    def start(arguments, stdout):
        command = (sys.executable, "-m", "django", *arguments)
        done = subprocess.run(
            command, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
        )
        return done.returncode, done.stderr.splitlines()

    return start


def unread():
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def named(arguments, letter):
    return [letter.message_id if each == "ID" else each for each in arguments]


def reading(lines):
    """Without what dead_letters says while all is well."""
    return [line for line in lines if not line.startswith("Reading test-site-dead-letter-sub")]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_full_disk_is_one_line(box, printing, arguments):
    letter = box.bury("add", 1, 2)
    with Path("/dev/full").open("w") as full:
        code, lines = printing(named(arguments, letter), full)
    assert code == 1
    assert reading(lines) == [
        "CommandError: Could not write to standard output: No space left on device."
    ]
    assert box.waiting() == {letter.message_id}


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_reader_who_has_gone_hears_nothing(box, printing, arguments):
    letter = box.bury("add", 1, 2)
    stdout = unread()
    code, lines = printing(named(arguments, letter), stdout)
    os.close(stdout)
    assert (code, reading(lines)) == (141, [])
    assert box.waiting() == {letter.message_id}


def test_what_is_refused_is_told_beside_the_full_disk(box, printing):
    letter = box.bury("add", 1, 2, key="another")
    with Path("/dev/full").open("w") as full:
        code, lines = printing(["dead_letters", "replay", "--dry-run"], full)
    first, *_, last = reading(lines)
    assert code == 1
    assert first.startswith(f"{letter.message_id} add is left: its signature is wrong")
    assert last.endswith("Could not write to standard output: No space left on device.")
