"""Lists of routes, for the option `routes`; a list's name is what a project is given."""

from types import FunctionType

from django.tasks import task

from asgi_tasks import TaskRoute
from tests.site import tasks


def _task(number):
    """A task of its own; a route needs a function that is found in a module."""
    name = f"task_{number:03}"
    function = FunctionType(_nothing.__code__, globals(), name)
    function.__qualname__ = name
    return task(function)


async def _nothing():
    pass


none = []
one = [TaskRoute(tasks.add)]
two = [TaskRoute(tasks.add, max_delivery_attempts=7), TaskRoute(tasks.fail)]
three = [*two, TaskRoute(tasks.echo)]
two_hundred = [TaskRoute(_task(number)) for number in range(200)]
twenty = two_hundred[:20]

poisoned = [TaskRoute(tasks.fail, max_delivery_attempts=5), TaskRoute(tasks.add)]
before_rename = [TaskRoute(tasks.add, name="sum_up")]
after_rename = [TaskRoute(tasks.add, name="add_together", aliases=["sum_up"])]
