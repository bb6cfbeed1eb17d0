import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from asgi_tasks.testing import Emulator, EmulatorError, emulator_process
from tests.processes import ROOT, free_port

from .pubsub import PubSub, until

RUN_AND_WAIT = """
import sys
from asgi_tasks.testing import emulator_process
with emulator_process() as emulator:
    print(emulator.host, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def kill_emulator():
    """Kill the processes that were started since the test began."""
    before = children()

    def kill():
        (pid,) = children() - before
        os.kill(pid, signal.SIGKILL)

    return kill


def children():
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(os.getpid())], stdout=subprocess.PIPE, check=False
    )
    return {int(pid) for pid in found.stdout.split() if b"asgi_tasks" in command_line(pid)}


def command_line(pid):
    try:
        return Path("/proc", pid.decode(), "cmdline").read_bytes()
    except OSError:  # it has ended, as ps itself has
        return b""


def is_listening(host):
    name, _, port = host.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((name, int(port))) == 0


def test_emulator_ends_with_its_block(start_emulator):
    before = set(threading.enumerate())
    with start_emulator() as emulator:
        assert is_listening(emulator.host)
    assert not is_listening(emulator.host)
    started = set(threading.enumerate()) - before
    assert [thread for thread in started if thread.name.startswith("asgi_tasks")] == []


def test_emulator_ends_when_its_block_raises(start_emulator):
    with pytest.raises(RuntimeError, match="of the test"), start_emulator() as emulator:
        raise RuntimeError("of the test")
    assert not is_listening(emulator.host)


def test_two_emulators_know_nothing_of_each_other(start_emulator):
    with start_emulator() as one, start_emulator() as other:
        PubSub(one).create_topic("projects/shop/topics/receipts")
        PubSub(other).create_topic("projects/shop/topics/receipts")


def test_options_are_those_of_the_command_line(start_emulator, endpoint):
    options = {"time_factor": 0.5, "push_window": 7, "project": "shop", "seed": 4}
    faults = ["push.fail:rate=0.5", "publish.error:count=3,status=429"]
    with start_emulator(**options, enforce_iam=True, rotate_keys=60, faults=faults) as emulator:
        PubSub(emulator).subscribe(endpoint.url)
        status = PubSub(emulator).status()
    assert {name: status[name] for name in ("time_factor", "project", "seed")} == {
        name: options[name] for name in ("time_factor", "project", "seed")
    }
    assert status["enforce_iam"] is True
    assert [fault["kind"] for fault in status["faults"]] == ["push.fail", "publish.error"]
    assert status["subscriptions"][0]["push_window"] == 7


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"time_factor": 0}, EmulatorError, "--time-factor: must be more than 0"),
        ({"push_window": -1}, EmulatorError, "--push-window: '-1' is not a whole number"),
        ({"faults": ["push.explode"]}, EmulatorError, "--fault: kind: 'push.explode' is none of"),
        ({"port": 8085}, TypeError, "'port' is not an option of the emulator: time_factor, "),
    ],
)
def test_option_that_is_wrong_is_refused(start_emulator, options, error, complaint):
    with pytest.raises(error) as refused, start_emulator(**options):
        pass
    assert complaint in str(refused.value)


def test_process_that_does_not_start_shows_why(monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('no memory, say')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EmulatorError) as failed, emulator_process():
        pass
    assert "The emulator did not start.\nThe emulator's process ended with code" in str(
        failed.value
    )
    assert "no memory, say" in str(failed.value)


def test_process_that_dies_shows_why(kill_emulator):
    def ask_the_dead():
        with emulator_process() as emulator:
            kill_emulator()
            emulator.messages()

    with pytest.raises(EmulatorError) as failed:
        ask_the_dead()
    assert "No answer from an emulator at http://127.0.0.1:" in str(failed.value)
    assert "The emulator's process ended with code -9." in str(failed.value)


def test_process_that_died_unnoticed_fails_the_block(kill_emulator):
    def leave_the_dead():
        with emulator_process() as emulator:
            kill_emulator()
            until(lambda: not is_listening(emulator.host))

    with pytest.raises(EmulatorError, match=r"ended by itself\.\n.* code -9"):
        leave_the_dead()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_process_ends_with_a_killed_test_process(number):
    command = [sys.executable, "-c", RUN_AND_WAIT]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as tests:
        host = tests.stdout.readline().decode().strip()
        assert is_listening(host)
        tests.send_signal(number)
        tests.wait(20)
        until(lambda: not is_listening(host))


def test_process_is_found_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with emulator_process() as emulator:
        assert emulator.messages() == []


def test_emulator_that_is_not_there_is_an_error():
    host = f"127.0.0.1:{free_port()}"
    with pytest.raises(EmulatorError, match=f"No answer from an emulator at http://{host}: "):
        Emulator(host).deliver_all()


def test_server_that_is_no_emulator_is_an_error():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        with pytest.raises(EmulatorError, match="answered with 501: no emulator of asgi_tasks"):
            Emulator(f"127.0.0.1:{server.server_port}").messages()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("url", ["", "https://127.0.0.1:8085", "http://127.0.0.1:8085/emulator"])
def test_url_of_something_else_is_refused(url):
    with pytest.raises(ValueError, match="is not the URL of an emulator: http://127"):
        Emulator(url)
