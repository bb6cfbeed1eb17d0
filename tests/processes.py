"""Real processes for the tests: started, waited for, ended by pid."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_TIMEOUT = 60  # seconds; the machine may be busy


class Process:
    """A child process whose output is kept as it comes."""

    def __init__(self, *arguments, env=None, user=None, cwd=ROOT):
        self.output = ""
        self._popen = subprocess.Popen(
            [str(argument) for argument in arguments],
            cwd=cwd,
            env=_environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=user,
            start_new_session=True,
        )
        self._grew = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self._popen.pid

    @property
    def is_running(self):
        return self._popen.poll() is None

    def _read(self):
        for line in self._popen.stdout:
            with self._grew:
                self.output += line
                self._grew.notify_all()
        with self._grew:
            self._grew.notify_all()

    def wait_for(self, pattern, timeout=START_TIMEOUT):
        """The match of a pattern in the output, once it is there."""
        with self._grew:
            self._grew.wait_for(
                lambda: re.search(pattern, self.output) or not self._reader.is_alive(), timeout
            )
        found = re.search(pattern, self.output)
        assert found, f"no {pattern!r} in the output:\n{self.output}"
        return found

    def send(self, signum):
        self._popen.send_signal(signum)

    def stop(self, signum=signal.SIGTERM, timeout=20):
        """Send the signal and return the exit code."""
        self._popen.send_signal(signum)
        try:
            code = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
            raise
        finally:
            self._reader.join()
            self._popen.stdout.close()
        return code

    def wait(self, timeout=START_TIMEOUT):
        """The exit code, once it has ended by itself."""
        code = self._popen.wait(timeout)
        self._reader.join()
        self._popen.stdout.close()
        return code


@contextlib.contextmanager
def running(*arguments, **options):
    process = Process(*arguments, **options)
    try:
        yield process
    finally:
        if process.is_running:
            process.stop()
        else:
            process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_listening(process, url):
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert process.is_running, process.output
            assert time.monotonic() < deadline, process.output
            time.sleep(0.05)


def _environment(env):
    # pytest-django sets its own settings module for us, not for our children.
    inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    return inherited | {"PYTHONUNBUFFERED": "1"} | (env or {})


def python(*arguments, env=None):
    """Run Python to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=_environment(env),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
