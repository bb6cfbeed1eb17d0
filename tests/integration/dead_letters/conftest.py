import itertools
import json
import sys
import time
import urllib.request
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from google.pubsub_v1 import PublisherClient, SubscriberClient

from asgi_tasks.messages import make_attributes
from tests.pushes import KEY, make_message
from tests.sites import site_environment

SOURCE = "CloudPubSubDeadLetterSource"
TIMEOUT = 60  # seconds until what does not come is a failure
NAMES = ("dead-letter", "add", "add-sync", "old-add", "echo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a command printed, and its exit status."""

    code: int
    out: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter as it was put there."""

    message_id: str
    task_id: str
    data: bytes
    attributes: dict


class DeadLetters:
    """The dead letters of tests.site in the emulator, and the command that handles them."""

    def __init__(self, emulator):
        self.emulator = emulator
        self._publisher = PublisherClient()
        self._subscriber = SubscriberClient()
        for name in NAMES:
            self.put(f"topics/test-site-{name}", {})
            subscription = {"topic": f"projects/tests/topics/test-site-{name}"}
            self.put(f"subscriptions/test-site-{name}-sub", subscription)

    def close(self):
        for client in (self._publisher, self._subscriber):
            client.transport.close()

    # What there is

    def bury(self, task, *args, **options):
        """A dead letter of a call of this task, as Pub/Sub forwards it."""
        return self.bury_all([self.letter(task, *args, **options)])[0]

    def letter(self, task, *args, key=KEY, data=None, came_by=None, attributes=None, line=""):
        message = make_message(task, *args)
        encoded = message.encode()
        name = came_by or f"test-site-{task.replace('_', '-')}-sub"
        source = {
            f"{SOURCE}Subscription": name,
            f"{SOURCE}SubscriptionProject": "tests",
            f"{SOURCE}DeliveryCount": "25",
            f"{SOURCE}TopicPublishTime": "2026-11-22T22:10:05.123+00:00",
        }
        signed = make_attributes(message, encoded, key) if key else {"task_id": message.task_id}
        found = {**signed, **source, **(attributes or {})}
        body = {"data": encoded if data is None else data, "ordering_key": line}
        return {**body, "attributes": {k: v for k, v in found.items() if v is not None}}

    def bury_all(self, letters):
        topic = "projects/tests/topics/test-site-dead-letter"
        ids = []
        for some in _requests(letters):
            ids += self._publisher.publish(request={"topic": topic, "messages": some}).message_ids
        return [
            Letter(
                message_id=message_id,
                task_id=one["attributes"].get("task_id"),
                data=one["data"],
                attributes=one["attributes"],
            )
            for message_id, one in zip(ids, letters, strict=True)
        ]

    def states(self):
        """What became of the dead letters, by message id."""
        found = self.emulator.messages(subscription="test-site-dead-letter-sub")
        return {message.message_id: message.state for message in found}

    def waiting(self):
        """The ids of those that anybody may read now."""
        return {message_id for message_id, state in self.states().items() if state == "waiting"}

    def published(self, task="add"):
        """What a task's topic got."""
        return self.emulator.messages(topic=f"test-site-{task.replace('_', '-')}")

    def pulled(self, task="add"):
        """The same with its data."""
        name = f"projects/tests/subscriptions/test-site-{task.replace('_', '-')}-sub"
        answer = self._subscriber.pull(subscription=name, max_messages=100)
        return [one.message for one in answer.received_messages]

    def calls(self, name):
        """How often this call was made."""
        with urllib.request.urlopen(f"{self.emulator.url}/emulator/status") as response:
            return json.load(response)["calls"].get(name, 0)

    def wait_until(self, condition):
        """What the condition returns once it is true."""
        deadline = time.monotonic() + TIMEOUT
        while not (value := condition()):
            assert time.monotonic() < deadline, self.states()
            time.sleep(0.02)
        return value

    # What somebody does

    def run(self, *arguments):
        """The command in this process."""
        out, error = StringIO(), StringIO()
        try:
            call_command("dead_letters", *arguments, stdout=out, stderr=error)
        except CommandError as failure:
            text = f"{error.getvalue()}CommandError: {failure}"
            return Run(code=failure.returncode, out=out.getvalue(), error=text)
        return Run(code=0, out=out.getvalue(), error=error.getvalue())

    def do(self, *arguments):
        """What has to go well: what it printed."""
        done = self.run(*arguments)
        assert done.code == 0, done.out + done.error
        return done.out

    def command(self, *arguments):
        """The same for a process of its own: what to run, and its environment."""
        env = site_environment(self.emulator, Path("/nonexistent"), 1, TESTS_EFFECTS="")
        return (sys.executable, "-m", "django", "dead_letters", *arguments), env

    def refuse(self, call, status=403, **options):
        self.emulator.fault("call.error", status=status, call=call, **options)

    def put(self, name, body):
        self._ask(name, "PUT", body)

    def delete(self, name):
        self._ask(name, "DELETE")

    def _ask(self, name, method, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        url = f"{self.emulator.url}/v1/projects/tests/{name}"
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request) as response:
            response.read()


def _requests(letters):
    """As many as one request takes, all of one ordering key."""
    for _, same in itertools.groupby(letters, key=lambda one: one.get("ordering_key", "")):
        yield from map(list, itertools.batched(same, 1000))


@pytest.fixture
def box(emulator, monkeypatch):
    """The dead letters of the site: none."""
    emulator.reset()
    emulator.clear_faults()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
    letters = DeadLetters(emulator)
    yield letters
    letters.close()
