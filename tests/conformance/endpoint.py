"""Which Pub/Sub the suite runs against."""

import contextlib
import os
import socket
import sys
import uuid
from dataclasses import dataclass, field

import pytest
from google.api_core import exceptions

from tests.environment import TAKEN
from tests.processes import running

GOOGLE = "https://pubsub.googleapis.com"
PUSH_PORT = 8086
NEEDS = {
    "PUBSUB_CONFORMANCE_ACCOUNT": "a service account the caller may act as",
    "PUBSUB_CONFORMANCE_PUSH_URL": f"an https:// URL that leads to 127.0.0.1:{PUSH_PORT}",
    "PUBSUB_CONFORMANCE_DEAD_LETTERS": "set, once Pub/Sub's service agent may forward them",
}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    host: str | None  # None: Google's own
    project: str

    @property
    def is_google(self):
        return self.host is None

    @property
    def url(self):
        return GOOGLE if self.is_google else f"http://{self.host}"

    @property
    def account(self):
        return os.environ.get("PUBSUB_CONFORMANCE_ACCOUNT", "invoker@p.iam.gserviceaccount.com")

    def has(self, need):
        return not self.is_google or need in os.environ

    @contextlib.contextmanager
    def environment(self):
        """As in the shell of somebody who uses it."""
        with pytest.MonkeyPatch.context() as patch:
            if not self.is_google:
                patch.setenv("PUBSUB_EMULATOR_HOST", self.host)
            elif credentials := TAKEN.get("GOOGLE_APPLICATION_CREDENTIALS"):
                patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", credentials)
            yield


@contextlib.contextmanager
def chosen_endpoint():
    if os.environ.get("PUBSUB_CONFORMANCE") == "google":
        project = os.environ.get("PUBSUB_PROJECT_ID")
        assert project, "PUBSUB_CONFORMANCE=google needs PUBSUB_PROJECT_ID, and credentials"
        yield Endpoint(host=None, project=project)
    elif host := TAKEN.get("PUBSUB_EMULATOR_HOST"):
        _check_answers(host)
        yield Endpoint(host=host, project="conformance")
    else:
        yield from _own_emulator()


def _check_answers(host):
    name, _, port = host.rpartition(":")
    try:
        socket.create_connection((name.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        pytest.fail(f"PUBSUB_EMULATOR_HOST={host}: nobody answers there ({error})", pytrace=False)


def _own_emulator():
    with running(sys.executable, "-m", "asgi_tasks.emulator", "--port", "0") as process:
        host = process.wait_for(r"listening on http://(\S+)")[1]
        yield Endpoint(host=host, project="conformance")
    assert "Traceback" not in process.output, process.output


@dataclass
class Names:
    """Names nobody else uses; the same label is the same name."""

    endpoint: Endpoint
    unique: str = field(default_factory=lambda: f"conf-{uuid.uuid4().hex[:12]}")
    given: set = field(default_factory=set)

    @property
    def project(self):
        return f"projects/{self.endpoint.project}"

    def topic(self, label="tasks"):
        return self._give("topics", label)

    def subscription(self, label="tasks"):
        return self._give("subscriptions", label)

    def _give(self, kind, label):
        name = f"{self.project}/{kind}/{self.unique}-{label}"
        self.given.add(name)
        return name


@contextlib.contextmanager
def temporary_names(endpoint, publisher, subscriber):
    """Whatever was made under one of the names is deleted again."""
    names = Names(endpoint)
    try:
        yield names
    finally:
        for name in sorted(names.given):
            with contextlib.suppress(exceptions.NotFound, exceptions.InvalidArgument):
                if "/topics/" in name:
                    publisher.delete_topic(topic=name)
                else:
                    subscriber.delete_subscription(subscription=name)
