import asyncio
import sys

from django.tasks import task

from tests.site.effects import record


def loaded():
    return [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]


@task
async def look():
    record("look", loaded=loaded())


@task
def look_sync():
    record("look_sync", loaded=loaded())


@task(takes_context=True)
async def fail_once(context):
    await asyncio.sleep(0.5)  # some ticks of the watchdog's
    if context.attempt == 1:
        raise ValueError("not yet")
