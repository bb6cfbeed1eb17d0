"""Tasks that tell what their process has loaded and which threads it has."""

import asyncio
import sys
import threading

from django.tasks import task

from asgi_tasks import TaskRoute
from tests.site.effects import record

from .tasks import task_routes as other_routes


@task
async def look():
    names = [thread.name for thread in threading.enumerate()]
    record("look", modules=sorted(sys.modules), threads=names)


@task
async def meet(count):
    """Wait for so many runs of this task; then the last one looks."""
    met.append(asyncio.current_task())
    if len(met) == count:
        await look.func()
        together.set()
    await together.wait()


met, together = [], asyncio.Event()
task_routes = [*other_routes, TaskRoute(look), TaskRoute(meet)]
