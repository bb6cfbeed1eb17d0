from asgi_tasks import TaskRoute
from tests.site import tasks

task_routes = [TaskRoute(tasks.add)]
