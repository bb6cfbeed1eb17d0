"""`manage.py demo`: a real emulator, a real Daphne, and nothing left of them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections import defaultdict

import pytest

from asgi_tasks.testing import Emulator
from gyrinx.demo.visitor import play
from tests.processes import free_port, running

COLUMNS = ["task", "task", "id", "enqueued", "pushed", "finished", "ms", "attempt"]
READY = "Ctrl-C stops everything"
NOTHING_LEFT = "Stopped; nothing is left running."


@pytest.fixture
def demo(tmp_path):
    """A function that starts the demo with these arguments."""
    environ = {"GYRINX_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "gyrinx.settings"}
    with contextlib.ExitStack() as stack:

        def demo(*arguments):
            command = (sys.executable, "manage.py", "demo", *arguments)
            return stack.enter_context(running(*command, env=environ))

        yield demo


@pytest.fixture
def ports():
    return "--port", free_port(), "--emulator-port", free_port()


def session_of(process):
    """Pids and commands of whatever the process started, even if that was left an orphan."""
    listed = subprocess.run(["ps", "-A", "-o", "sid=,pid=,args="], capture_output=True, check=True)
    rows = (line.split(maxsplit=2) for line in listed.stdout.decode().splitlines())
    return {int(pid): args for sid, pid, args in rows if int(sid) == process.pid}


def test_once_shows_every_task_and_ends(demo, ack_deadlines):
    process = demo("--once")
    assert process.wait() == 0
    heading, *rows, last = process.output.splitlines()
    assert heading.split() == COLUMNS
    assert {row.split()[0] for row in rows} == ack_deadlines.keys()
    assert {row.split()[-1] for row in rows} == {"1"}
    assert last == f"{len(rows)} tasks were enqueued, pushed and acknowledged."
    assert session_of(process) == {}


def test_storm_ends_with_every_task_settled(demo, ack_deadlines):
    process = demo("--storm", "12")
    assert process.wait(timeout=180) == 0
    watch, heading, *rows, total, last = process.output.splitlines()
    assert watch.startswith("To watch it: http://127.0.0.1:")
    assert heading.split()[-4:] == ["pushes", "failed", "doubled", "refused"]
    assert {row.split()[0] for row in rows} == ack_deadlines.keys()
    name, enqueued, succeeded, dead, pushes, failed, doubled, refused = total.split()
    assert (name, refused) == ("all", "0")
    assert int(enqueued) == int(succeeded) + int(dead)
    assert int(pushes) >= int(enqueued) + int(failed) + int(doubled)
    assert int(failed) + int(doubled) > 0
    assert last == "Every task has ended, in success or among the dead letters."
    assert session_of(process) == {}


def test_log_of_the_site_is_json_in_which_each_task_is_found_by_its_id(demo, ports, tmp_path):
    process = demo(*ports)
    process.wait_for(READY)
    play(f"http://127.0.0.1:{ports[1]}", "reader")
    emulator = Emulator(f"127.0.0.1:{ports[3]}")
    emulator.wait_until_settled()
    process.stop(signal.SIGTERM)
    text = (tmp_path / "demo" / "server.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    ways = defaultdict(list)
    for line in lines:
        if line["logger"] == "asgi_tasks" and "task_id" in line:
            ways[line["task_id"]].append(line["outcome"])
    assert len(ways) >= 5
    # A push may overtake the answer that confirms its enqueue.
    assert {tuple(sorted(way)) for way in ways.values()} == {("enqueued", "succeeded")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_leaves_nothing_running(demo, ports, number):
    process = demo(*ports)
    process.wait_for(READY)
    assert len(session_of(process)) == 3
    assert process.stop(number) == 0
    assert NOTHING_LEFT in process.output
    assert session_of(process) == {}


@pytest.mark.parametrize("name", ["migrate", "provision_tasks", "server"])
def test_signal_while_it_starts_leaves_nothing_running(demo, tmp_path, ports, name):
    process = demo(*ports)
    log = tmp_path / "demo" / f"{name}.log"
    while not log.exists():
        assert process._popen.poll() is None, process.output
    assert process.stop(signal.SIGINT) == 0
    assert session_of(process) == {}


def test_interrupted_once_leaves_nothing_running(demo):
    process = demo("--once")
    while not any("asgi_tasks.server" in args for args in session_of(process).values()):
        assert process._popen.poll() is None, process.output
    assert process.stop(signal.SIGINT) == 130
    assert session_of(process) == {}


def test_crash_of_the_emulator_ends_the_demo(demo, ports):
    process = demo(*ports)
    process.wait_for(READY)
    (emulator,) = (
        pid for pid, args in session_of(process).items() if "asgi_tasks.emulator" in args
    )
    os.kill(emulator, signal.SIGKILL)
    assert process.wait() == 1
    assert "CommandError: emulator ended with status -9" in process.output
    assert session_of(process) == {}


def test_second_demo_in_a_folder_is_one_line(demo, ports):
    demo(*ports).wait_for(READY)
    second = demo("--port", free_port(), "--emulator-port", free_port())
    assert second.wait() == 1
    (line,) = second.output.splitlines()
    assert line.startswith("CommandError: a demo is running in ")


def test_database_of_the_shell_is_left_alone(demo, tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/somebodys.sqlite3")
    assert demo("--once").wait() == 0
    assert not (tmp_path / "somebodys.sqlite3").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--port", "99999"), "'99999' is not a port: a number from 1 to 65535"),
        (("--emulator-port", "0"), "'0' is not a port: a number from 1 to 65535"),
        (("--port", "9", "--emulator-port", "9"), "cannot share a port"),
    ],
    ids=["too large", "zero", "the same"],
)
def test_impossible_port_is_said_at_once(demo, options, reason):
    process = demo(*options)
    assert process.wait() != 0
    assert reason in process.output
    assert "Traceback" not in process.output


@pytest.mark.parametrize("option", ["--port", "--emulator-port"])
def test_taken_port_is_one_line(demo, ports, option):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        # The other one is free: a default might be somebody else's.
        process = demo(*ports, option, taken)
        assert process.wait() == 1
    (line,) = process.output.splitlines()
    assert f"port {taken} cannot be used" in line
    assert f'make demo ARGS="{option} {taken + 1}"' in line
