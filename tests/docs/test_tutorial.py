"""Follows the tutorial to the letter, in a copy of the repository."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, free_port, running
from tests.sockets import refuse_sockets

PAGE = ROOT / "docs" / "tutorial" / "add-a-task.md"
BLOCK = re.compile(r"(?P<before>[^\n]*)\n\n```(?P<kind>\w*)\n(?P<text>.*?)```", re.DOTALL)


@pytest.fixture
def copy(tmp_path):
    """A copy of the repository, as a reader's checkout."""
    ignored = shutil.ignore_patterns("__pycache__", "var", "*.sqlite3*")
    for name in ("asgi_tasks", "gyrinx", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("manage.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


class Reader:
    """Does what the page says."""

    def __init__(self, folder):
        self.folder = folder
        port, emulator_port = free_port(), free_port()
        self.ports = ("--port", port, "--emulator-port", emulator_port)
        self.env = dict(os.environ) | {
            "GYRINX_VAR": str(folder / "var"),
            "TASKS_SERVICE_URL": f"http://127.0.0.1:{port}",
            "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{emulator_port}",
        }
        del self.env["DJANGO_SETTINGS_MODULE"]  # of the tests; manage.py has its own default
        self.file = None
        self.output = ""

    def follow(self, block):
        """Write, change or run what a block shows; the sentence before it names the file."""
        if named := re.findall(r"`([\w/]+\.py)`", block["before"]):
            self.file = self.folder / named[-1]
        match block["kind"]:
            case "python":
                is_addition = block["before"].startswith("Add to")
                with self.file.open("a" if is_addition else "w") as file:
                    file.write("\n\n" * is_addition + block["text"])
            case "diff":
                self.change(block["text"])
            case "console":
                self.run(block["text"])

    def change(self, diff):
        old = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] != "+")
        new = "".join(line[1:] for line in diff.splitlines(keepends=True))
        text = self.file.read_text()
        assert text.count(old) == 1, f"{old!r} is not in {self.file} once"
        self.file.write_text(text.replace(old, new))

    def run(self, text):
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            done = subprocess.run(
                command.replace(".venv/bin/python", sys.executable),
                shell=True,
                cwd=self.folder,
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
                check=False,
            )
            self.output = done.stdout
            same = doctest.OutputChecker().check_output(expected, done.stdout, doctest.ELLIPSIS)
            assert same or not expected, f"$ {command}\n{done.stdout}\ninstead of\n{expected}"


def blocks():
    return list(BLOCK.finditer(PAGE.read_text()))


def test_tutorial_works(copy):
    reader = Reader(copy)
    before, after = split_at_demo()
    for block in before:
        reader.follow(block)
    demo = (sys.executable, copy / "manage.py", "demo", *reader.ports)
    with running(*demo, env=reader.env, cwd=copy) as process:
        process.wait_for("Ctrl-C stops everything")
        reader.follow(after[0])
        task_id = reader.output.split()[1]
        process.wait_for(rf"find_deadliest_fighter +{task_id} +attempt 1 +204 ")
    reader.env["PYTHONPATH"] = str(refuse_sockets(copy / "offline"))
    for block in after[1:]:
        reader.follow(block)


def split_at_demo():
    position = PAGE.read_text().index("## See it pushed")
    found = blocks()
    before = [block for block in found if block.start() < position]
    return before, found[len(before) :]


def test_tutorial_has_blocks_of_each_kind():
    assert {block["kind"] for block in blocks()} >= {"python", "diff", "console"}
    assert Path(PAGE).name in (ROOT / "README.md").read_text()
