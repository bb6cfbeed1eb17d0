"""What is the view's alone; test_dispatch.py has what it shares with PushEndpoint."""

import pytest
from django.test import AsyncClient
from django.urls import reverse

IMMEDIATE = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
PATH = "/view/pubsub/"


def test_url_has_a_name():
    assert reverse("asgi_tasks:push") == PATH


@pytest.fixture
def client():
    return AsyncClient(enforce_csrf_checks=True)


async def push(client):
    return await client.post(PATH, b"{}", content_type="application/json")


async def test_without_a_pubsub_backend_there_is_no_such_page(client, settings):
    settings.TASKS = IMMEDIATE
    assert (await push(client)).status_code == 404


@pytest.mark.parametrize(
    "middleware",
    [
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.common.CommonMiddleware",
        "tests.unit.test_views.ReadTheBody",
    ],
)
async def test_middleware_of_a_usual_site_lets_pushes_through(client, settings, middleware):
    settings.MIDDLEWARE = [middleware]
    assert (await push(client)).status_code == 401


async def test_pushes_need_no_login(client, settings):
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    assert (await push(client)).status_code == 401


def ReadTheBody(get_response):  # noqa: N802 - a middleware is a factory
    def middleware(request):
        assert request.body == b"{}"
        return get_response(request)

    return middleware
