"""The pages as a reader follows them: block by block, in a project of their own."""

import doctest
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.processes import ROOT
from tests.tooling.gcloud import FakeGcloud

# A fence may stand in a list. What comes before it says which file it is.
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
FILE = re.compile(r"`([\w-]+/[\w/]+\.py)`")
MANAGE = """
import sys
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


@dataclass(frozen=True, slots=True)
class Block:
    kind: str
    text: str
    before: str  # the paragraph above it
    section: str  # its heading

    @property
    def commands(self):
        """Of a console: each command, on one line, and what it prints."""
        text = re.sub(r" \\\n +", " ", self.text)
        return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)


def blocks(page):
    """The fenced blocks of a page: `how-to/install.md`, or `../README.md`."""
    text = (ROOT / "docs" / page).read_text()
    for found in FENCE.finditer(text):
        above = text[: found.start()].rstrip()
        yield Block(
            found["kind"],
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            above[above.rfind("\n\n") :],
            re.findall(r"^#+ (.*)$", above, re.MULTILINE)[-1],
        )


def assert_same(expected, printed, command):
    """A page leaves out what differs each time: ...; one that shows nothing claims nothing."""
    same = doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS)
    assert same or not expected, f"$ {command}\n{printed}\ninstead of\n{expected}"


class Project:
    """A Django project in a folder, and a shell in it with a gcloud that only takes note."""

    def __init__(self, folder, files, **variables):
        self.folder = folder
        self.variables = variables
        (folder / "bin").mkdir()
        self.gcloud = FakeGcloud(folder / "bin")
        for path, text in {"manage.py": MANAGE, **files}.items():
            self.write(path, text)
        self._file = None

    @property
    def env(self):
        """Of a process of this project."""
        name = self.variables["DJANGO_SETTINGS_MODULE"].partition(".")[0]
        assert (self.folder / name).is_dir()
        return {"PYTHONPATH": f"{self.folder}:{ROOT}", **self.variables}

    def read(self, path):
        return (self.folder / path).read_text()

    def write(self, path, text):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def follow(self, block):
        """Write or change the file a block shows, or type what it shows."""
        if named := FILE.findall(block.before):
            self._file = named[-1]
        match block.kind:
            case "python" if "Add to" in block.before:
                self.write(self._file, self.read(self._file) + "\n\n" + block.text)
            case "python":
                self.write(self._file, block.text)
            case "diff":
                self.change(self._file, block.text)
            case "console":
                for command, expected in block.commands:
                    assert_same(expected, self.shell(command), command)

    def change(self, path, diff):
        lines = diff.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] != "+")
        new = "".join(line[1:] for line in lines if line[0] != "-")
        text = self.read(path)
        assert text.count(old) == 1, f"{old!r} is not in {path} once:\n{text}"
        self.write(path, text.replace(old, new))

    def shell(self, command):
        """What a command prints, once it has succeeded."""
        programs = [self.folder / "bin", Path(sys.executable).parent, os.environ["PATH"]]
        env = {**os.environ, **self.env, "PATH": ":".join(map(str, programs))}
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        return done.stdout
