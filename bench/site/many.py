"""As many routes as BENCH_COUNT says, to tasks that do nothing."""

import os

from django.tasks import task

from asgi_tasks import TaskRoute


def make_task(number):
    async def nothing():
        pass

    nothing.__name__ = nothing.__qualname__ = f"nothing_{number}"
    return task(nothing)


def make_routes(count):
    return [TaskRoute(make_task(number)) for number in range(count)]


task_routes = make_routes(int(os.environ.get("BENCH_COUNT", "1")))
