"""What a process loads and starts before it needs it, and what it never does."""

import json

import pytest
from django.tasks import default_task_backend

from tests.processes import python
from tests.pushes import push, push_all
from tests.reliability.brokers import make_topics

from .serving import push_of, serving

# What publishing, or checking a token, or telemetry takes.
HEAVY = {"aiohttp", "gcloud", "google", "grpc", "jwt", "opentelemetry", "prometheus_client"}
# What management commands alone call by.
FOR_COMMANDS = {"grpc", "google.api_core", "google.cloud", "google.pubsub_v1"}
SHOW = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
MEETING = 100


def loaded_by(script, **variables):
    """The modules of a process that has run the script."""
    env = {"DJANGO_SETTINGS_MODULE": "tests.site.settings"} | variables
    return json.loads(python("-c", script + SHOW, env=env))


def of(packages, modules):
    """Those of the modules that are the packages, or in them."""
    return [m for m in modules if any(f"{m}.".startswith(f"{package}.") for package in packages)]


def test_server_that_is_ready_has_loaded_what_each_push_takes_and_no_more():
    modules = loaded_by("import asgi_tasks.server.__main__, tests.site.asgi", TESTS_LOGGING="cloud")
    assert "asgi_tasks.execution" in modules
    assert of(HEAVY, modules) == []


@pytest.mark.parametrize("send", ["send", "send_on_a_loop"])
def test_process_that_enqueues_never_loads_grpc(emulator, send):
    make_topics(emulator, [default_task_backend.routes.topic("echo")])
    script = f"from tests.reliability.enqueuing import {send}\n{send}(1)"
    modules = loaded_by(script, PUBSUB_EMULATOR_HOST=emulator.host)
    assert of(["aiohttp"], modules)
    assert of(FOR_COMMANDS, modules) == []


@pytest.fixture
def served(certificates, tmp_path):
    variables = {"TESTS_ROUTES": "tests.reliability.served.looking"}
    with serving(tmp_path, TESTS_CERTS_URL=certificates.url, **variables) as served:
        yield served


@pytest.fixture
def authorization(served, signer):
    return f"Bearer {signer.token(served.endpoint)}"


async def test_process_that_receives_never_loads_what_publishes(served, authorization):
    assert await push(served, push_of("look"), authorization) == 204
    modules = served.effects(task="look")[0]["modules"]
    assert of({"gcloud", "jwt", "opentelemetry", *FOR_COMMANDS}, modules) == []


async def test_tasks_that_stay_on_the_loop_take_no_lane(served, authorization):
    bodies = [push_of("meet", MEETING) for _ in range(MEETING)]
    assert await push_all(served, bodies, authorization) == [204] * MEETING
    assert lanes_of(served.effects(task="look")) == []
    assert await push(served, push_of("run_sync", "one", "."), authorization) == 204
    assert await push(served, push_of("look"), authorization) == 204
    assert len(lanes_of(served.effects(task="look"))) == 1


def lanes_of(looks):
    """The lanes there were at the last look."""
    return [name for name in looks[-1]["threads"] if name.startswith("asgi_tasks-lane-")]
