"""The how-to about tests: its files, as they stand there, with those of the README."""

import inspect
import os
import re
import subprocess
import sys

import pytest

from asgi_tasks.testing import Clock, Emulator, EmulatorOptions
from tests.processes import ROOT, free_port

from .test_readme import SETTINGS, readme

PAGE = ROOT / "docs" / "how-to" / "test-with-the-emulator.md"
BLOCK = re.compile(r"```(?:python|toml)\n# (\S+\.(?:py|toml))[^\n]*\n(.*?)```", re.DOTALL)


@pytest.fixture
def shop(tmp_path):
    """The shop of the README and the how-to's files beside it."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    port = str(free_port())
    for path, text in BLOCK.findall(readme()) + BLOCK.findall(PAGE.read_text()):
        (tmp_path / path).write_text(text.replace("8123", port))
    settings = tmp_path / "shop" / "settings.py"
    settings.write_text(SETTINGS + settings.read_text())
    return tmp_path


def test_example_runs(shop):
    # Where the library is installed, pytest finds the plugin by itself.
    command = [sys.executable, "-m", "pytest", "-p", "asgi_tasks.testing.plugin", "-v"]
    command += ["-W", "error", "-o", "asyncio_default_fixture_loop_scope=function"]
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    env["PYTHONPATH"] = f"{shop}:{ROOT}"
    done = subprocess.run(
        command, cwd=shop, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_table_has_every_helper():
    text = PAGE.read_text()
    names = [name for name in vars(Emulator) if not name.startswith("_")]
    names += [f".{name}" for name in vars(Clock) if not name.startswith("_")]
    missing = [name for name in names if not re.search(rf"`[^`]*{re.escape(name)}\b", text)]
    assert missing == []


@pytest.mark.parametrize("name", ["fail_next", "drop_next", "duplicate_next", "refuse_publish"])
def test_table_has_the_arguments_of_a_helper(name):
    (shown,) = re.findall(rf"^\| `{name}\(([^)]*)\)`", PAGE.read_text(), re.MULTILINE)
    parameters = list(inspect.signature(getattr(Emulator, name)).parameters.values())[1:]
    assert shown == ", ".join(
        f"{one.name}=" if one.default is None else f"{one.name}={one.default}" for one in parameters
    )


def test_options_named_are_options():
    named = set(re.findall(r'"(\w+)": [\w.]+[,}]', PAGE.read_text()))
    assert named <= EmulatorOptions.__annotations__.keys()
