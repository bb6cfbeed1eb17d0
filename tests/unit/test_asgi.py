"""What is PushEndpoint's alone; test_dispatch.py has what it shares with the view."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from asgi_tasks.asgi import PushEndpoint
from tests.processes import python

IMMEDIATE = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}


class Site:
    """The application behind the endpoint, which notes what reaches it."""

    def __init__(self):
        self.calls = []

    async def __call__(self, scope, receive, send):
        self.calls.append((scope, receive, send))


@pytest.fixture
def site():
    return Site()


async def receive():
    return {"type": "http.request"}


async def send(message):
    raise AssertionError(f"the endpoint itself answered: {message}")


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "http", "method": "GET", "path": "/", "headers": []},
        {"type": "http", "method": "POST", "path": "/tasks/pubsub", "headers": []},
        {"type": "http", "method": "POST", "path": "/tasks/pubsub/more", "headers": []},
        {"type": "websocket", "path": "/tasks/pubsub/", "headers": []},
        {"type": "lifespan"},
    ],
    ids=["page", "no slash", "longer path", "websocket", "lifespan"],
)
async def test_everything_else_is_passed_on_as_it_is(site, scope):
    await PushEndpoint(site)(scope, receive, send)
    assert site.calls == [(scope, receive, send)]


async def test_without_a_pubsub_backend_pushes_are_passed_on(site, settings):
    settings.TASKS = IMMEDIATE
    scope = {"type": "http", "method": "POST", "path": "/tasks/pubsub/", "headers": []}
    await PushEndpoint(site)(scope, receive, send)
    assert site.calls == [(scope, receive, send)]


async def test_push_path_is_an_option(site, settings):
    tasks = settings.TASKS["default"]
    options = tasks["OPTIONS"] | {"push_path": "/elsewhere/"}
    settings.TASKS = {"default": tasks | {"OPTIONS": options}}
    answered = []

    async def note(message):
        answered.append(message)

    scope = {"type": "http", "method": "GET", "path": "/elsewhere/", "headers": []}
    await PushEndpoint(site)(scope, receive, note)
    assert (answered[0]["status"], site.calls) == (405, [])


@pytest.mark.parametrize(
    ("options", "check"),
    [({"service_uri": "https://x.example"}, "E001"), ({"routes": "tests.nowhere"}, "E005")],
    ids=["option", "routes"],
)
def test_with_wrong_settings_the_server_does_not_start(site, settings, options, check):
    tasks = settings.TASKS["default"]
    settings.TASKS = {"default": tasks | {"OPTIONS": tasks["OPTIONS"] | options}}
    with pytest.raises(ImproperlyConfigured, match=check):
        PushEndpoint(site)


def test_answering_a_push_loads_no_client_of_google_s_services():
    assert python("-c", PUSH).strip() == "401 []"


PUSH = """
import asyncio, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.site.settings"
import django
django.setup()
import asgi_tasks.asgi

async def receive():
    return {"type": "http.request", "body": b""}

async def send(message):
    if "status" in message:
        print(message["status"], end=" ")

scope = {"type": "http", "method": "POST", "path": "/tasks/pubsub/", "headers": []}
asyncio.run(asgi_tasks.asgi.PushEndpoint(None)(scope, receive, send))
heavy = ("grpc", "gcloud.aio", "google.cloud.pubsub_v1", "aiohttp")
print([name for name in sys.modules if name.startswith(heavy)])
"""
