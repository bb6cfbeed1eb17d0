"""The plugin in a run of pytest of its own, as users have it."""

import subprocess
import sys

import pytest

from tests.processes import ROOT

PLUGIN = ("-p", "asgi_tasks.testing.plugin", "-p", "no:cacheprovider")


@pytest.fixture
def run_tests(tmp_path, monkeypatch):
    """Run a file of tests; what pytest printed, if it passed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins, if installed

    def run(source):
        (tmp_path / "test_it.py").write_text(source)
        command = [sys.executable, "-m", "pytest", "-W", "error", *PLUGIN]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_plugin_alone_loads_nothing_of_weight(run_tests):
    heavy = ["django", "grpc", "aiohttp", "google", "asyncio", "asgi_tasks.emulator"]
    run_tests(
        f"""
import sys

def test_modules():
    assert "asgi_tasks.testing.plugin" in sys.modules
    assert [name for name in {heavy} if name in sys.modules] == []
"""
    )


@pytest.mark.parametrize("fixture", ["pubsub_emulator", "pubsub_emulator_process"])
def test_environment_is_as_before_afterwards(run_tests, fixture):
    run_tests(
        f"""
import os

def test_with({fixture}):
    assert os.environ["PUBSUB_EMULATOR_HOST"] == {fixture}.host

def test_without():
    assert "PUBSUB_EMULATOR_HOST" not in os.environ
"""
    )


def test_emulators_are_started_once_for_all_tests(run_tests):
    run_tests(
        """
import pytest

hosts = set()

@pytest.mark.parametrize("number", range(3))
def test_host(pubsub_emulator, pubsub_emulator_process, number):
    hosts.update([pubsub_emulator.host, pubsub_emulator_process.host])
    assert len(hosts) == 2
"""
    )


def test_options_can_be_overridden(run_tests):
    run_tests(
        """
import json, urllib.request
import pytest

@pytest.fixture(scope="session")
def pubsub_emulator_options():
    return {"time_factor": 0.5, "project": "shop"}

@pytest.mark.parametrize("name", ["pubsub_emulator", "pubsub_emulator_process"])
def test_status(request, name):
    url = request.getfixturevalue(name).url
    with urllib.request.urlopen(f"{url}/emulator/status") as response:
        status = json.load(response)
    assert (status["time_factor"], status["project"]) == (0.5, "shop")
"""
    )
