"""Tests as a stranger writes them for a stranger's site, over each database and in each way."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

PROJECT = Path(__file__).parent / "stranger"


@pytest.fixture(params=["sqlite in memory", "sqlite", "postgresql"])
def database(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("database_url")
    return "sqlite://:memory:" if "memory" in request.param else f"sqlite:///{tmp_path}/db.sqlite3"


@pytest.fixture
def run(tmp_path, database):
    """Run Python in the stranger's project; what it printed."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    env |= {"DATABASE_URL": database, "PYTHONPATH": f"{project}:{ROOT}"}

    def run(*arguments, **variables):
        done = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=project,
            env=env | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_tests_pass_under_pytest(run, mode):
    command = ("-m", "pytest", "-p", "no:cacheprovider", "-o", f"asyncio_mode={mode}")
    output = run(*command, "-p", "asgi_tasks.testing.plugin")
    assert re.search(r"^=+ \d+ passed in ", output, re.MULTILINE)


def test_tests_pass_under_django(run):
    output = run(
        *("-m", "django", "test", "--pattern", "check_unittest.py", "--noinput"),
        DJANGO_SETTINGS_MODULE="shop.settings",
    )
    assert re.search(r"Ran 8 tests.*\n\nOK", output)
