"""What is live before the deploy."""

from functools import partial

from django.tasks import task

from asgi_tasks import TaskRoute
from tests.site import task_routes as site
from tests.site.effects import record

SOON = {"min_retry_delay": 1, "max_retry_delay": 20}
record = partial(record, revision="old")


@task
def greet(name):
    record("greet", name=name)


@task
def report(campaign, style):
    record("report", name=campaign)


@task
async def farewell(name):
    record("farewell", name=name)


@task
async def send_welcome(name):
    record("send_welcome", name=name)


task_routes = [
    *site.task_routes,
    TaskRoute(greet, max_delivery_attempts=100, **SOON),
    TaskRoute(report, max_delivery_attempts=5, **SOON),
    TaskRoute(farewell, max_delivery_attempts=5, **SOON),
    TaskRoute(send_welcome, max_delivery_attempts=100, **SOON),
]
