import json
import urllib.request
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from asgi_tasks.testing import emulator_process

AGENT = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a command printed, and its exit status."""

    code: int
    out: str
    error: str


class Project:
    """A project in the emulator, and the commands on a site whose tasks it carries."""

    def __init__(self, emulator, settings):
        self.emulator = emulator
        self.host = emulator.host
        self._settings = settings
        self._before = self._calls()
        self.use("two")

    def use(self, routes, **options):
        """From now on the site has this list of routes."""
        tasks = deepcopy(self._settings.TASKS)
        path = f"tests.integration.provisioning.routes.{routes}"
        tasks["default"]["OPTIONS"] |= {"routes": path, **options}
        self._settings.TASKS = tasks

    def run(self, *arguments, command="provision_tasks", stdout=None):
        stdout = stdout or StringIO()
        try:
            call_command(command, *arguments, stdout=stdout)
        except CommandError as error:
            return Run(code=error.returncode, out=stdout.getvalue(), error=str(error))
        return Run(code=0, out=stdout.getvalue(), error="")

    def provision(self, *arguments):
        """What has to go well."""
        done = self.run(*arguments)
        assert done.code == 0, done.out + done.error
        return done

    def calls(self):
        """How often each call was made since the last time."""
        now, before = self._calls(), self._before
        self._before = now
        return dict(now - before)

    def refuse(self, call=None, status=403, count=None):
        self.emulator.fault("call.error", status=status, call=call, count=count)

    def faults(self):
        """Those that are still to come."""
        return self._get("/emulator/faults")["faults"]

    # What there is, as the REST API shows it

    def topics(self):
        return {one["name"]: one for one in self._list("topics")}

    def subscriptions(self):
        return {one["name"]: one for one in self._list("subscriptions")}

    def everything(self):
        """All of it with its policies; etags differ each time."""
        found = {**self.topics(), **self.subscriptions()}
        return {name: (one, self.policy(name)["bindings"]) for name, one in found.items()}

    def subscription(self, name):
        return self.subscriptions()[f"projects/tests/subscriptions/test-site-{name}-sub"]

    def policy(self, name):
        return {"bindings": [], **self._ask(f"{name}:getIamPolicy")}

    def has_grant(self, name, role):
        return {"role": role, "members": [AGENT]} in self.policy(name)["bindings"]

    # What people do by hand

    def change(self, name, mask, **fields):
        kind = "topic" if "/topics/" in name else "subscription"
        body = {kind: {"name": name, **fields}, "updateMask": mask}
        return self._ask(name, method="PATCH", body=body)

    def delete(self, name):
        return self._ask(name, method="DELETE")

    def create(self, name, **fields):
        return self._ask(name, method="PUT", body=fields)

    def set_policy(self, name, *bindings):
        return self._ask(f"{name}:setIamPolicy", "POST", {"policy": {"bindings": bindings}})

    def _list(self, kind):
        return self._ask(f"projects/tests/{kind}?pageSize=1000").get(kind, [])

    def _calls(self):
        return Counter(self._get("/emulator/status")["calls"])

    def _get(self, path):
        with urllib.request.urlopen(self.emulator.url + path) as response:
            return json.load(response)

    def _ask(self, path, method="GET", body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        url = f"{self.emulator.url}/v1/{path}"
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request) as response:
            return json.load(response)


@pytest.fixture(scope="module")
def emulator():
    """One that forwards dead letters only if the grants are made, and retries in a hurry."""
    with emulator_process(enforce_iam=True, time_factor=0.01) as emulator:
        yield emulator


@pytest.fixture
def project(emulator, settings, monkeypatch):
    emulator.reset()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
    return Project(emulator, settings)
