"""What is deployed: a coroutine that was none, a new argument, a new name; one task is gone."""

from functools import partial

from django.tasks import task

from asgi_tasks import TaskRoute
from tests.site import task_routes as site
from tests.site.effects import record

SOON = {"min_retry_delay": 1, "max_retry_delay": 20}
record = partial(record, revision="new")


@task
async def greet(name):
    record("greet", name=name)


@task
def report(campaign, layout):
    record("report", name=campaign)


@task
async def welcome_new_user(name):
    record("welcome_new_user", name=name)


@task
async def celebrate(name):
    record("celebrate", name=name)


task_routes = [
    *site.task_routes,
    TaskRoute(greet, max_delivery_attempts=100, **SOON),
    TaskRoute(report, max_delivery_attempts=5, **SOON),
    TaskRoute(welcome_new_user, aliases=("send_welcome",), max_delivery_attempts=100, **SOON),
    TaskRoute(celebrate, max_delivery_attempts=100, **SOON),
]
