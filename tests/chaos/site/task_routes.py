import os

from asgi_tasks import TaskRoute

from . import tasks

HARDY = {
    "ack_deadline": 20,
    "max_retry_delay": 60,
    "max_delivery_attempts": 100,
}

task_routes = [
    TaskRoute(tasks.wait, **HARDY),
    TaskRoute(tasks.work, **HARDY),
    TaskRoute(tasks.fail_first, **HARDY),
    TaskRoute(tasks.fail_first_sync, **HARDY),
    TaskRoute(tasks.keep, **HARDY),
    TaskRoute(tasks.keep_sync, **HARDY),
    TaskRoute(tasks.give_up, **HARDY),
    TaskRoute(tasks.fan_out, **HARDY),
    TaskRoute(tasks.never_works, **HARDY | {"max_delivery_attempts": 5}),
]
if os.environ.get("CHAOS_REVISION") != "0":
    task_routes.append(TaskRoute(tasks.newest, **HARDY))
