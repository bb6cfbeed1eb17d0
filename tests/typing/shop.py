"""A user's tasks and routes; each line that a type checker refuses says how."""

from typing import reveal_type

from django.core.asgi import get_asgi_application
from django.tasks import TaskContext, task

from asgi_tasks import Discard, TaskRoute
from asgi_tasks.asgi import PushEndpoint


@task
def send_receipt(order_id: int) -> str:
    if order_id < 0:
        raise Discard("there is no such order")
    return f"receipt of order {order_id}"


@task(takes_context=True)
async def ship(context: TaskContext[..., None], order_id: int, *, express: bool = False) -> None:
    pass


def not_a_task() -> None:
    pass


application = PushEndpoint(get_asgi_application())
task_routes = [
    TaskRoute(send_receipt, ack_deadline=60, aliases=("mail_receipt",)),
    TaskRoute(ship, timeout=2.5, discard_on=(KeyError, ValueError), signed=True),
    TaskRoute(not_a_task),  # error: arg-type
    TaskRoute(send_receipt, "receipt"),  # error: call-arg
    TaskRoute(send_receipt, ack_deadline="60"),  # error: arg-type
    TaskRoute(send_receipt, deadline=60),  # error: call-arg
    TaskRoute(send_receipt, discard_on=ValueError),  # error: arg-type
]
reveal_type(task_routes)  # is: list[asgi_tasks.routes.TaskRoute]
reveal_type(task_routes[0].names)  # is: tuple[str, ...]
