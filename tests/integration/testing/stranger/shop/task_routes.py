from asgi_tasks import TaskRoute

from . import tasks

task_routes = [
    TaskRoute(tasks.send_receipt),
    TaskRoute(tasks.send_receipt_async),
    TaskRoute(tasks.send_receipt_through_a_bridge),
    TaskRoute(tasks.ship),
    TaskRoute(tasks.ship_async),
    TaskRoute(tasks.copy_order),
    TaskRoute(tasks.ask_a_table_that_is_not_there),
    TaskRoute(tasks.leave_a_transaction_open),
]
