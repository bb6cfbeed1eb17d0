"""docs/how-to/deploy.md says what the scripts, the build and the calculator do."""

import itertools
import os
import re
import subprocess
import sys

import pytest
import yaml

from tests.processes import ROOT
from tests.tooling.gcloud import FakeGcloud

PAGE = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
# What starts it all: typed by hand.
BY_HAND = re.compile(r"gcloud auth login|.*\bsh docker/\S+\.sh|python manage.py ")


def commands():
    """Each command of the page on one line."""
    text = re.sub(r" \\\n +", " ", "".join(BLOCKS))
    return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]


@pytest.fixture
def printed(tmp_path):
    def printed(script, *arguments):
        return (
            FakeGcloud(tmp_path)
            .run(script, "--print", *arguments, EMAIL_HOST="smtp.example.com")
            .stdout.splitlines()
        )

    return printed


def test_page_shows_the_commands_of_the_scripts_and_no_others(printed):
    scripts = itertools.chain(
        printed("setup-project.sh"),
        printed("deploy.sh"),
        printed("rollback.sh"),
        printed("rollback.sh", "gyrinx-00041-abc"),
    )
    assert [line for line in commands() if not BY_HAND.match(line)] == list(scripts)


def test_page_names_every_script():
    named = set(re.findall(r"\bsh docker/(\S+\.sh)", PAGE))
    assert named == {"setup-project.sh", "deploy.sh", "rollback.sh"}


def test_calculator_says_what_the_page_shows():
    [block] = [block for block in BLOCKS if "task_capacity" in block]
    command, _, shown = re.sub(r" \\\n +", " ", block).partition("\n")
    done = subprocess.run(
        [sys.executable, *command.split()[2:]],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "gyrinx.settings_local"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == shown.strip()


def test_page_explains_every_substitution_that_may_be_set():
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    rows = re.findall(r"^\| (`_.*?) \|", PAGE, re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert explained | {"_IMAGE", "_SETTINGS", "_SECRETS"} == build["substitutions"].keys()


def test_page_names_every_step_of_the_build():
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    [steps] = re.findall(r"The build has five steps.*?(?=\n\n\|)", PAGE, re.DOTALL)
    assert all(f"`{step['id']}`" in steps for step in build["steps"])
