"""manage.py provision_tasks against the emulator, by Google's own client."""

import subprocess
import sys

import aiohttp
import pytest

from tests.integration.conftest import site_environment
from tests.processes import Process, python, running

COMMAND = ("-m", "django", "provision_tasks")


@pytest.fixture
def project(tmp_path):
    """An empty project of its own: the emulator's URL, and the environment to run in."""
    with running(sys.executable, "-m", "asgi_tasks.emulator", "--port", "0") as process:
        url = process.wait_for(r"listening on (http://\S+)")[1]

        class Emulator:
            host = url.removeprefix("http://")

        Emulator.url = url
        yield url, site_environment(Emulator, tmp_path, 1)


async def resources(url):
    """All topics and subscriptions, as the API shows them."""
    async with aiohttp.ClientSession() as session:
        found = []
        for kind in ("topics", "subscriptions"):
            async with session.get(f"{url}/v1/projects/tests/{kind}?pageSize=1000") as response:
                found += (await response.json())[kind]
    return found


async def test_second_run_changes_nothing(project):
    url, env = project
    first = python(*COMMAND, env=env)
    before = await resources(url)
    second = python(*COMMAND, env=env)
    assert len(before) == first.count("created ") > 20
    assert (second, await resources(url)) == ("Done: 0 were missing.\n", before)


async def test_subscription_has_what_its_route_says(project):
    url, env = project
    python(*COMMAND, env=env)
    name = "projects/tests/subscriptions/test-site-fail-sub"
    (subscription,) = [each for each in await resources(url) if each["name"] == name]
    assert subscription["topic"] == "projects/tests/topics/test-site-fail"
    assert subscription["ackDeadlineSeconds"] == 300
    assert subscription["expirationPolicy"] == {}
    assert subscription["retryPolicy"] == {"minimumBackoff": "10s", "maximumBackoff": "600s"}
    assert subscription["deadLetterPolicy"] == {
        "deadLetterTopic": "projects/tests/topics/test-site-dead-letter",
        "maxDeliveryAttempts": 5,
    }
    assert subscription["pushConfig"]["pushEndpoint"] == "http://127.0.0.1:1/tasks/pubsub/"
    assert subscription["pushConfig"]["oidcToken"] == {
        "serviceAccountEmail": "pusher@tests.iam.gserviceaccount.com",
        "audience": "http://127.0.0.1:1/tasks/pubsub/",
    }


async def test_several_at_once_make_each_resource_once(project):
    url, env = project
    processes = [Process(sys.executable, *COMMAND, env=env) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    created = "".join(process.output for process in processes).count("created ")
    assert created == len(await resources(url))


def test_broker_out_of_reach_is_one_line(project):
    _, env = project
    done = subprocess.run(
        [sys.executable, *COMMAND],
        env=env | {"PUBSUB_EMULATOR_HOST": "127.0.0.1:1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("CommandError: Could not list the topics and subscriptions: ")
    assert done.returncode == 1
