"""The plugin in a run of pytest of its own, as users have it."""

import subprocess
import sys

import pytest

from tests.processes import ROOT

DJANGO = ("-p", "pytest_django.plugin")
PLUGIN = ("-p", "asgi_tasks.testing.plugin", "-p", "no:cacheprovider")


@pytest.fixture
def run_tests(tmp_path, monkeypatch):
    """Run a file of tests; what pytest printed, if it ended as it should."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins, if installed

    def run(source, plugins=(), code=0):
        (tmp_path / "test_it.py").write_text(source)
        command = [sys.executable, "-m", "pytest", "-W", "error", *PLUGIN, *plugins]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
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


@pytest.fixture
def shop(monkeypatch):
    """The settings of a site, for the runs of pytest."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.site.settings")


@pytest.mark.parametrize("plugins", [DJANGO, ()])
def test_outbox_works_with_and_without_pytest_django(run_tests, shop, plugins):
    run_tests(
        """
import django
django.setup()
from tests.site import tasks

def test_run(task_outbox, run_enqueued):
    tasks.add.enqueue(1, 2)
    task_outbox.assert_enqueued(tasks.add)
    assert run_enqueued()[0].result == 3
""",
        plugins,
    )


def test_settings_of_a_test_are_undone_in_any_order_of_its_fixtures(run_tests, shop):
    run_tests(
        """
import pytest
from django.conf import settings as django_settings
from tests.site import tasks

def test_first(settings, task_outbox):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}}

def test_second(task_outbox, settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}}

@pytest.fixture
def task_options():
    return {"environment": "other"}

def test_third():
    assert django_settings.TASKS["default"]["OPTIONS"]["environment"] == "test"
""",
        DJANGO,
    )


def test_key_is_made_when_it_is_needed_and_once(run_tests, shop):
    run_tests(
        """
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.site import tasks

made = []

@pytest.fixture(autouse=True)
def count(monkeypatch):
    generate = rsa.generate_private_key
    monkeypatch.setattr(rsa, "generate_private_key", lambda **o: made.append(1) or generate(**o))

def test_enqueue(task_outbox):
    tasks.add.enqueue(1, 2)
    assert made == []

@pytest.mark.parametrize("time", [1, 2])
def test_push(push_client, time):
    assert push_client.push(tasks.add, 1, 2).status == 204
    assert made == [1]
""",
        DJANGO,
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ('{"routes": "nowhere"}', "The routes cannot be loaded from 'nowhere'"),
        ('{"route": "x"}', "'route' is not an option of PubSubBackend"),
    ],
)
def test_wrong_options_are_one_line(run_tests, shop, options, complaint):
    printed = run_tests(
        f"""
import pytest

@pytest.fixture
def task_options():
    return {options}

def test_outbox(task_outbox):
    pass
""",
        DJANGO,
        code=1,
    )
    _, _, shown = printed.partition("ERROR at setup of test_outbox")
    assert shown.splitlines()[1].startswith(complaint)
    assert shown.splitlines()[2].startswith("====")
