from asgi_tasks import TaskRoute

from . import tasks

task_routes = [
    TaskRoute(tasks.add),
    TaskRoute(tasks.add_sync, aliases=("old_add",)),
    TaskRoute(tasks.fail_twice),
    TaskRoute(tasks.fail_twice_sync),
    TaskRoute(tasks.fail, max_delivery_attempts=5),
    TaskRoute(tasks.fail_at_length, max_delivery_attempts=5),
    TaskRoute(tasks.wait, ack_deadline=60),
    TaskRoute(tasks.wait_sync, timeout=1),
    TaskRoute(tasks.query_and_wait),
    TaskRoute(tasks.query_sync),
    TaskRoute(tasks.fan_out),
    TaskRoute(tasks.fan_out_sync),
    TaskRoute(tasks.give_up),
    TaskRoute(tasks.leave),
    TaskRoute(tasks.return_object),
    TaskRoute(tasks.log),
    TaskRoute(tasks.log_sync),
    TaskRoute(tasks.echo, signed=False),
]
