"""Child processes that do not outlive the demo, unless it is killed with SIGKILL."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings

from . import DemoError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TIME_TO_STOP = 12  # seconds; the server finishes running tasks for up to 8


class Interrupted(Exception):
    """Somebody asked the demo to stop."""


class Children:
    """Started one by one, watched together, stopped all."""

    def __init__(self, logs: Path, environ: dict[str, str]):
        self.logs = logs
        inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        self.environ = {**inherited, "PYTHONUNBUFFERED": "1", **environ}
        self.running: dict[str, subprocess.Popen] = {}
        self.busy = self.interrupted = False

    def __enter__(self):
        self.handlers = {number: signal.signal(number, self.interrupt) for number in SIGNALS}
        return self

    def __exit__(self, *exception):
        self.busy = True
        self.stop()
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def interrupt(self, number, frame):
        """The first signal ends the demo; more of them do not disturb its cleaning up."""
        if not self.interrupted:
            self.interrupted = True
            if not self.busy:
                raise Interrupted

    def start(self, name, *arguments):
        # A signal between the fork and the entry in `running` would leave an orphan behind.
        self.busy = True
        with self.log(name).open("wb") as log:
            # Its own group, so that the terminal's Ctrl-C reaches the demo, which stops the rest.
            self.running[name] = subprocess.Popen(  # noqa: S603  our own commands
                [sys.executable, *arguments],
                cwd=settings.BASE_DIR,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self.busy = False
        if self.interrupted:
            raise Interrupted

    def run(self, name, *arguments):
        """Start it and wait for its end."""
        self.start(name, *arguments)
        if self.running[name].wait():
            raise self.failure(name)
        del self.running[name]

    def check(self):
        for name, process in self.running.items():
            if process.poll() is not None:
                raise self.failure(name)

    def failure(self, name):
        lines = self.log(name).read_text(errors="replace").strip().splitlines()
        status = self.running[name].returncode
        last = lines[-1] if lines else "no output"
        return DemoError(f"{name} ended with status {status}, see {self.log(name)}: {last}")

    def log(self, name):
        return self.logs / f"{name}.log"

    def stop(self):
        for process in self.running.values():
            send(process, signal.SIGTERM)
        deadline = time.monotonic() + TIME_TO_STOP
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))
            send(process, signal.SIGKILL)
            process.wait()
        self.running.clear()


def send(process, number):
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextmanager
def only_one(folder: Path):
    """Hold the folder: two demos would share a database and write over each other's logs."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoError(
                f"a demo is running in {folder.parent} already: stop it, or choose another folder"
                " with GYRINX_VAR=/tmp/demo make demo"
            ) from None
        yield


def check_port(port, option):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(
                f"port {port} cannot be used ({error.strerror}):"
                f' choose another with make demo ARGS="{option} {port + 1}"'
            ) from None


def free_ports(count):
    """Held all at once, so that they differ."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
