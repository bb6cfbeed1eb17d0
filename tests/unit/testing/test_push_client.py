import asyncio

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.tasks import task

from asgi_tasks import RouteNotFound, dispatch
from asgi_tasks.testing import NotAcknowledged, capture_tasks
from tests.site import asgi, tasks
from tests.tokens import Signer


@task
def unrouted():
    pass


@pytest.fixture(params=["push", "apush"])
def push(request, push_client):
    """Push by the sync or the async method of a client with these changes."""

    def push(pushed, *args, **changes):
        client = push_client.using(**changes)
        if request.param == "push":
            return client.push(pushed, *args)
        return async_to_sync(client.apush)(pushed, *args)

    return push


@pytest.mark.parametrize("task", [tasks.add, tasks.add_sync])
def test_push_runs_the_task(push, task):
    answer = push(task, 1, 2)
    assert (answer.task, answer.status) == (task, 204)
    assert (answer.outcome, answer.result) == ("succeeded", 3)


def test_push_does_not_raise_what_the_task_raises(push):
    answer = push(tasks.fail)
    assert (answer.status, answer.outcome) == (500, "failed")
    assert isinstance(answer.exception, ValueError)
    with pytest.raises(ValueError, match="always"):
        answer.raise_for_failure()


def test_attempt_is_what_the_context_tells(push):
    assert push(tasks.fail_twice, "k").status == 500
    answer = push(tasks.fail_twice, "k", attempt=3)
    assert (answer.status, answer.attempt) == (204, 3)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"token": ""}, 401),
        ({"token": "not-a-token"}, 401),
        ({"data": b"{}"}, 400),
        ({"attributes": {"signature": "0" * 64}}, 403),
        ({"attributes": {"signature": None}}, 403),
        ({"subscription": "projects/tests/subscriptions/other-sub"}, 403),
    ],
)
def test_wrong_push_is_refused(push, changes, status):
    answer = push(tasks.add, 1, 2, **changes)
    assert (answer.status, answer.outcome) == (status, None)
    with pytest.raises(NotAcknowledged, match=f"with {status}: the log says why"):
        answer.raise_for_failure()


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 204),
        ({"email": "mallory@example.com"}, 403),
        ({"email_verified": False}, 403),
        ({"aud": "https://elsewhere.example"}, 401),
        ({"exp": None}, 401),
        ({"iss": "https://elsewhere.example"}, 401),
    ],
)
def test_token_may_be_wrong_in_its_claims(push_client, claims, status):
    token = push_client.token(**claims)
    assert push_client.using(token=token).push(tasks.add, 1, 2).status == status


def test_token_of_another_key_is_refused(push_client, settings):
    options = settings.TASKS["default"]["OPTIONS"]
    audience = options["service_url"] + "/tasks/pubsub/"
    token = Signer().token(audience, email=options["push_service_account"])
    assert push_client.using(token=token).push(tasks.add, 1, 2).status == 401


def test_arguments_that_do_not_fit_are_refused_by_the_endpoint(push):
    assert push(tasks.add, 1).status == 400


def test_task_without_a_route_cannot_be_pushed(push):
    with pytest.raises(RouteNotFound):
        push(unrouted)


def test_pushed_tasks_enqueue_into_the_outbox(push, task_outbox):
    push(tasks.fan_out, [1])
    task_outbox.assert_enqueued(tasks.add, 1, 0, count=1)


def test_application_without_the_endpoint_is_found_out(push_client):
    client = push_client.using(application=asgi.application.application)
    assert client.push(tasks.add, 1, 2).status == 404


def test_endpoint_may_be_a_view(push_client, settings):
    tasks_setting = settings.TASKS["default"]
    options = {**tasks_setting["OPTIONS"], "push_path": "/view/pubsub/"}
    settings.TASKS = {"default": {**tasks_setting, "OPTIONS": options}}
    client = push_client.using(application=asgi.application.application)
    assert client.push(tasks.add, 1, 2).result == 3


def test_application_that_does_not_answer_is_told_of(push):
    async def silent(scope, receive, send):
        pass

    with pytest.raises(NotAcknowledged, match="has not answered"):
        push(tasks.add, 1, 2, application=silent)


def test_settings_without_an_application_say_what_to_do(push, settings):
    settings.ASGI_APPLICATION = None
    with pytest.raises(ImproperlyConfigured, match=r"Set ASGI_APPLICATION .*using\(application="):
        push(tasks.add, 1, 2)


async def test_push_on_the_event_loop_says_what_to_use(push_client):
    with pytest.raises(SynchronousOnlyOperation, match="use await apush"):
        push_client.push(tasks.add, 1, 2)


async def test_pushes_may_come_together(push_client):
    pushes = [push_client.apush(task, 1, 2) for task in (tasks.add, tasks.add_sync) * 5]
    assert {answer.result for answer in await asyncio.gather(*pushes)} == {3}


def test_nothing_trusts_the_tokens_of_tests_afterwards():
    before = dict(dispatch.verifiers)
    with capture_tasks() as captured:
        assert captured.push_client.push(tasks.add, 1, 2).status == 204
        assert dispatch.verifiers != before
    assert dispatch.verifiers == before


def test_settings_are_as_before_afterwards():
    before = django_settings.TASKS
    with capture_tasks({"environment": "other"}):
        assert before != django_settings.TASKS
    assert before == django_settings.TASKS
