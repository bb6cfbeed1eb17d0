"""docker/entrypoint.sh, by running it with the local settings against the emulator."""

import contextlib
import json
import os
import sqlite3
import sys
from pathlib import Path
from urllib.request import Request

import pytest

from tests.processes import Process, free_port, python, running, wait_until_listening

from .conftest import fetch

COMMAND = ("sh", "docker/entrypoint.sh")


@pytest.fixture
def environ(tmp_path, emulator):
    port = free_port()
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GYRINX_VAR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "gyrinx.settings_local",
        "PUBSUB_EMULATOR_HOST": emulator,
        "PORT": str(port),
        "TASKS_SERVICE_URL": f"http://127.0.0.1:{port}",
    }


@pytest.fixture
def site(environ):
    """A function that starts the site with these variables and waits until it answers."""

    @contextlib.contextmanager
    def site(**variables):
        with running(*COMMAND, env={**environ, **variables}) as process:
            wait_until_listening(process, f"{environ['TASKS_SERVICE_URL']}/health/live")
            yield process

    return site


def topics(emulator):
    return json.loads(fetch(f"http://{emulator}/v1/projects/gyrinx-local/topics")).get("topics", [])


def tables(folder):
    with contextlib.closing(sqlite3.connect(folder / "local.sqlite3")) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}


def errors(process):
    lines = process.output.splitlines()
    entries = [json.loads(line) for line in lines if line.startswith('{"severity"')]
    return [entry["message"] for entry in entries if entry["severity"] == "ERROR"]


def test_provisions_before_the_site_starts(site, emulator):
    with site():
        assert "dev-gyrinx-tasks-send-welcome-email" in str(topics(emulator))


def test_leaves_provisioning_to_somebody_else(site, emulator):
    with site(TASKS_SKIP_PROVISIONING="true"):
        assert topics(emulator) == []


def fault(emulator, **values):
    data = json.dumps(values).encode()
    headers = {"Content-Type": "application/json"}
    fetch(Request(f"http://{emulator}/emulator/faults", data=data, headers=headers))


def administration(emulator):
    """How many calls there were but those that publish."""
    calls = json.loads(fetch(f"http://{emulator}/emulator/status"))["calls"]
    return sum(count for call, count in calls.items() if call != "Publish")


def test_starts_the_site_when_provisioning_fails(site, emulator):
    fault(emulator, kind="call.error", status=403)
    with site() as process:
        (error,) = errors(process)
    assert error == (
        "provision_tasks failed (status 1): starting with the topics and subscriptions that exist"
    )


def test_starts_the_site_when_provisioning_takes_too_long(site, emulator):
    fault(emulator, kind="call.delay", seconds=50)
    with site(PROVISIONING_TIMEOUT="2") as process:
        (error,) = errors(process)
    assert error.startswith("provision_tasks took longer than 2 s: starting with ")


def test_starts_the_site_when_there_is_no_pubsub(site):
    nobody = f"127.0.0.1:{free_port()}"
    with site(PUBSUB_EMULATOR_HOST=nobody, PROVISIONING_TIMEOUT="4") as process:
        assert len(errors(process)) == 1


def test_makes_one_plan_when_nothing_changed(site, emulator):
    with site():
        first = administration(emulator)
    with site() as process:
        assert errors(process) == []
        assert administration(emulator) - first <= 5


def test_site_of_another_backend_contacts_nobody_and_says_why(site, emulator):
    with site(DJANGO_SETTINGS_MODULE="gyrinx.settings") as process:
        assert len(errors(process)) == 1
    assert "no PubSubBackend" in process.output
    assert administration(emulator) == 0


SET_UP = """
import sys, django
django.setup()
from django.core.management import call_command
call_command("check")
import gyrinx.asgi
print([name for name in sys.modules if name.startswith(("asgi_tasks.provisioning", "grpc"))])
"""


def test_nothing_is_provisioned_by_setting_up_alone(environ, emulator):
    assert python("-c", SET_UP, env=environ).splitlines()[-1] == "[]"
    assert administration(emulator) == 0


@pytest.mark.parametrize("run", ["true", "false"])
def test_migrates_when_told_to(site, tmp_path, run):
    with site(RUN_MIGRATIONS=run, TASKS_SKIP_PROVISIONING="true"):
        assert ("core_user" in tables(tmp_path)) is (run == "true")


def test_stops_when_a_migration_fails(environ, tmp_path):
    nowhere = {"RUN_MIGRATIONS": "true", "DATABASE_URL": f"sqlite:///{tmp_path}/no/folder.db"}
    process = Process(*COMMAND, env={**environ, **nowhere})
    assert process.wait() == 1
    assert errors(process) == ["migrate failed: the site is not started"]


def test_the_server_gets_the_signal_itself(site, environ):
    with site(TASKS_SKIP_PROVISIONING="true") as process:
        process.stop(timeout=10)
        with pytest.raises(OSError, match="refused"):
            fetch(f"{environ['TASKS_SERVICE_URL']}/health/live")


def test_runs_its_arguments_instead(environ):
    code = "import sys; print(sys.argv[1]); sys.exit(3)"
    process = Process(*COMMAND, "python", "-c", code, "a b", env=environ)
    assert process.wait() == 3
    assert process.output == "a b\n"
