"""Builds the image without an engine and drives a task through it.

Usage: python -m tests.tooling.image [--fresh]

The base is Debian with its own Python, by debootstrap, in place of python:3.13-slim. Outside of it
run PostgreSQL and the emulator; inside, with a read-only root and not as root, docker/entrypoint.sh
as Cloud Run would start it. For root on Debian, with a network. Ends with "image: all seen".
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.postgres import postgres
from tests.processes import ROOT, Process, free_port, running, wait_until_listening

from .dockerfile import Builder

FOLDER = ROOT / ".cache" / "image"
SUITE = "trixie"  # of python:3.13-slim
IMAGE = "python:3.13-slim"
PACKAGES = "ca-certificates,netbase,tzdata,python3"  # what that image has, and its Python
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
TOOLS = ("gcc", "cc", "make", "pip", "pip3", "git", "curl", "wget")
STOP_SECONDS = 10  # Cloud Run's patience

# Production's settings but for two addresses: where Pub/Sub's certificates are, and where we are.
SETTINGS = """
import os
from gyrinx.settings_prod import *
from gyrinx.settings_prod import TASKS
TASKS["default"]["OPTIONS"] |= {
    "certs_url": os.environ["CHECK_CERTS"],
    "service_url": os.environ["CHECK_URL"],
}
"""
ENQUEUE = """
from django.utils import timezone
from gyrinx.core.tasks import log_analytics_event
now = timezone.now().isoformat()
task = log_analytics_event.enqueue("c0ffee00-0000-4000-8000-000000000001", "seen", None, {}, now)
print("enqueued", task.id)
"""
COUNT = """
from gyrinx.core.models import AnalyticsEvent
print("events", AnalyticsEvent.objects.filter(name="seen").count())
"""


def main(arguments):
    parser = argparse.ArgumentParser(prog="tests.tooling.image", description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="make the base again, too")
    options = parser.parse_args(arguments)
    if missing := [name for name in ("debootstrap", "unshare") if not shutil.which(name)]:
        sys.exit(
            f"image: not installed: {', '.join(missing)} (Debian: apt-get install debootstrap)"
        )
    if os.geteuid() != 0:
        sys.exit("image: only root may chroot")
    stage = build(make_base(fresh=options.fresh))
    inspect(stage)
    drive(stage)
    print("image: all seen")


def say(text):
    print(f"== {text}", flush=True)


def make_base(*, fresh):
    """A root with Python and pip at the places where python:3.13-slim has them."""
    base, ready = FOLDER / "base", FOLDER / "base-ready"
    if ready.exists() and not fresh:
        return base
    say(f"debootstrap {SUITE}")
    ready.unlink(missing_ok=True)
    shutil.rmtree(base, ignore_errors=True)
    base.parent.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(base)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for marker in base.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    (base / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    add_pip(base)
    ready.touch()
    return base


def add_pip(base):
    """The image's pip is not Debian's, which has patches of its own."""
    wheels = FOLDER / "wheels"
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels]
    subprocess.run([*download, "pip"], check=True)
    [python] = base.glob("usr/lib/python3.*")
    target = base / "usr/local/lib" / python.name / "dist-packages"
    shutil.unpack_archive(sorted(wheels.glob("pip-*.whl"))[-1], target, "zip")
    script = base / "usr/local/bin/pip"
    script.write_text('#!/bin/sh\nexec python -m pip "$@"\n')
    script.chmod(0o755)


def build(base):
    say("the Dockerfile, step by step")
    network = {"binds": {"/etc/resolv.conf": "/etc/resolv.conf", CERTIFICATES: CERTIFICATES}}
    # The machine's own way to a registry; nothing of it stays in the image.
    environ = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environ.pop("PIP_FIND_LINKS", None)
    environ["PIP_QUIET"] = "1"
    builder = Builder(ROOT, {IMAGE: base}, FOLDER, during_run={**network, "env": environ})
    return builder.build((ROOT / "Dockerfile").read_text())


def inspect(stage):
    """What can be seen without starting it."""
    say("what is in it")
    env = stage.environ
    found = [t for t in TOOLS if shutil.which(t, path=":".join(inside(stage, env["PATH"])))]
    assert found == [], f"build tools in the image: {found}"
    assert stage.user != "0"
    writable = subprocess.run(
        ["find", stage.root / "app", stage.root / "opt", "-perm", "-o=w", "!", "-type", "l"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert writable == "", f"writable by everybody: {writable}"
    assert list((stage.root / "app/var/static").glob("core/site.*.css"))
    names = sorted(path.name for path in (stage.root / "app").iterdir())
    print(f"   /app: {' '.join(names)}; no {' '.join(TOOLS)}; user {stage.user}")


def inside(stage, path):
    return [f"{stage.root}{folder}" for folder in path.split(":")]


@contextlib.contextmanager
def around(stage):
    """The environment of a container beside an emulator and a database."""
    settings = FOLDER / "settings"
    settings.mkdir(exist_ok=True)
    (settings / "check_settings.py").write_text(SETTINGS)
    emulator = ("-m", "asgi_tasks.emulator", "--port", "0", "--enforce-iam")
    with postgres() as database, running(sys.executable, *emulator) as process:
        host = process.wait_for(r"listening on http://(\S+)")[1]
        port = free_port()
        yield {
            **stage.environ,
            "PORT": str(port),
            "PYTHONPATH": "/mnt/settings",
            "DJANGO_SETTINGS_MODULE": "check_settings",
            "PUBSUB_EMULATOR_HOST": host,
            "CHECK_CERTS": f"http://{host}/oauth2/v1/certs",
            "CHECK_URL": f"http://127.0.0.1:{port}",
            "DATABASE_URL": database,
            "RUN_MIGRATIONS": "true",
            "SECRET_KEY": "made-up-for-the-check-0123456789-abcdefghijklmnopqrstuvwxyz",
            "ALLOWED_HOSTS": "gyrinx.example,127.0.0.1",
            "GCP_PROJECT_ID": "gyrinx-check",
            "TASKS_SERVICE_URL": "https://gyrinx.example",
            "TASKS_SERVICE_ACCOUNT": "pubsub-invoker@gyrinx-check.iam.gserviceaccount.com",
            "EMAIL_HOST": "localhost",
        }


def drive(stage):
    with around(stage) as environ:
        run = Container(stage, environ)
        say("start: migrate, provision, serve")
        with run.started() as site:
            asked_first = administration(environ)
            assert status(environ, "/health/ready") == 200
            assert "prod-gyrinx-tasks-log-analytics-event" in topics(environ)
            print(f"   ready; {len(topics(environ))} topics; {asked_first} administrative calls")
            say("a task through it, enqueued by a second container")
            enqueued = run.to_end("python", "manage.py", "shell", "--no-imports", "-c", ENQUEUE)
            task = re.search(r"enqueued (\S+)", enqueued)[1]
            wait_for_push(environ)
            events = run.to_end("python", "manage.py", "shell", "--no-imports", "-c", COUNT)
            assert "events 1" in events, events
            print(f"   {task} was pushed, answered 204, and its row is there")
            say("the root is read-only, and nobody is root")
            print(
                "   "
                + run.to_end("sh", "-c", "id -u; touch /app/x 2>&1; exit 0").replace("\n", "; ")
            )
            say("SIGTERM")
            stop(site)
        before = administration(environ)
        say("start again: nothing to change")
        with run.started() as site:
            print(f"   {administration(environ) - before} administrative calls")
            assert administration(environ) - before <= 5
            stop(site)


class Container:
    """The image, started as an engine would with --read-only --tmpfs /tmp."""

    def __init__(self, stage, environ):
        self._stage, self._environ = stage, environ
        binds = {FOLDER / "settings": "/mnt/settings"}
        self._options = {"readonly": True, "binds": binds}

    def _command(self, *arguments):
        return self._stage.command(*self._stage.entrypoint, *arguments, **self._options)

    @contextlib.contextmanager
    def started(self):
        # Nothing of this process's environment: a container has none of it.
        command = ["env", "-i", *(f"{k}={v}" for k, v in self._environ.items()), *self._command()]
        with running(*command) as process:
            try:
                wait_until_listening(process, f"{self._environ['CHECK_URL']}/health/live")
                yield process
            except BaseException:
                print(process.output)
                raise

    def to_end(self, *arguments):
        done = subprocess.run(
            self._command(*arguments),
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def emulator(environ, path):
    return fetch(f"http://{environ['PUBSUB_EMULATOR_HOST']}{path}")


def status(environ, path):
    try:
        with urllib.request.urlopen(environ["CHECK_URL"] + path, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def topics(environ):
    found = emulator(environ, f"/v1/projects/{environ['GCP_PROJECT_ID']}/topics")
    return [topic["name"].rpartition("/")[2] for topic in found["topics"]]


def administration(environ):
    calls = emulator(environ, "/emulator/status")["calls"]
    return sum(count for call, count in calls.items() if call != "Publish")


def wait_for_push(environ):
    deadline = time.monotonic() + 30
    while True:
        messages = emulator(environ, "/emulator/messages")["messages"]
        if any(m["state"] == "acknowledged" for m in messages):
            return
        assert time.monotonic() < deadline, messages
        time.sleep(0.1)


def stop(site: Process):
    """As Cloud Run stops a container: its first process gets the signal."""
    daphne = first_process(site.pid)
    started = time.monotonic()
    os.kill(daphne, 15)
    code = site.wait(timeout=STOP_SECONDS)
    print(f"   ended with {code} after {time.monotonic() - started:.1f} s")


def first_process(pid):
    """The innermost child: unshare and its like are the engine's, not the container's."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        [pid] = map(int, children)
    return pid


if __name__ == "__main__":
    main(sys.argv[1:])
