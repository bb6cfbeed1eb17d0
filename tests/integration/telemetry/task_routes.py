from asgi_tasks import TaskRoute
from tests.site.task_routes import task_routes as of_site

from . import tasks

task_routes = [
    *of_site,
    TaskRoute(tasks.look),
    TaskRoute(tasks.look_sync),
    TaskRoute(tasks.fail_once),
]
