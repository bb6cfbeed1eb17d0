"""The test site in processes of its own, seen from outside."""

import json
import sys
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

from tests.processes import free_port, python, running, wait_until_listening
from tests.site import effects

TIMEOUT = 60  # seconds until a delivery that does not come is a failure


class Site:
    """The test site's Daphne process, the emulator, and what tasks did."""

    def __init__(self, process, url, emulator, path):
        self.process = process
        self.url = url
        self.emulator = emulator
        self.path = path
        self.endpoint = f"{url}/tasks/pubsub/"

    def enqueue(self, task, *, view="aenqueue", **kwargs):
        """Have a view of the site enqueue a task; the task's id."""
        query = urllib.parse.urlencode({"kwargs": json.dumps(kwargs)})
        return _get(f"{self.url}/{view}/{task}/?{query}")["id"]

    def deliveries(self, task_id):
        """The broker's record of a task: its state and each delivery's attempt and status."""
        messages = _get(f"{self.emulator.url}/emulator/messages")["messages"]
        ours = (m for m in messages if m["attributes"].get("task_id") == task_id)
        return next((m for m in ours if "dead-letter" not in m["topic"]), None)

    def wait_until_settled(self, *task_ids):
        """The records of these tasks, once each is acknowledged or a dead letter."""

        def records():
            found = [self.deliveries(task_id) for task_id in task_ids]
            settled = [r and r["state"] in ("acknowledged", "dead_lettered") for r in found]
            return found if all(settled) else None

        return self.wait_until(records)

    def wait_until(self, condition):
        """What the condition returns once it is true."""
        deadline = time.monotonic() + TIMEOUT
        while not (value := condition()):
            assert time.monotonic() < deadline, self.process.output
            time.sleep(0.05)
        return value

    def effects(self, task=None, **facts):
        """What tasks recorded."""
        entries = effects.read(self.path) if self.path.exists() else []
        wanted = ({"task": task} if task else {}) | facts
        return [e for e in entries if wanted.items() <= e.items()]


def _get(url):
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        return json.load(response)


def site_environment(emulator, folder, port, **variables):
    database = f"sqlite:///{folder}/db.sqlite3"
    return {
        "DJANGO_SETTINGS_MODULE": "tests.site.settings",
        "PUBSUB_EMULATOR_HOST": emulator.host,
        "TESTS_CERTS_URL": f"{emulator.url}/oauth2/v1/certs",
        "TESTS_SERVICE_URL": f"http://127.0.0.1:{port}",
        "TESTS_EFFECTS": str(folder / "effects.jsonl"),
        "DATABASE_URL": database,
        **variables,
    }


@contextmanager
def running_site(
    emulator,
    folder,
    *,
    server="asgi_tasks.server",
    application="tests.site.asgi:application",
    port=None,
    **variables,
):
    """The site, migrated and provisioned, behind the emulator."""
    port = port or free_port()
    env = site_environment(emulator, folder, port, **variables)
    python("-m", "django", "migrate", "--verbosity", "0", env=env)
    python("-m", "django", "provision_tasks", env=env)
    command = (sys.executable, "-m", server, "-p", port, application)
    with running(*command, env=env) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until_listening(process, url)
        yield Site(process, url, emulator, folder / "effects.jsonl")
