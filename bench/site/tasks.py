"""Tasks that do little, so that what is measured is what is around them."""

import asyncio
import time

from django.tasks import task

from asgi_tasks import TaskRoute


@task
async def nothing():
    pass


@task
async def take(data):
    pass


@task
async def wait(seconds):
    await asyncio.sleep(seconds)


@task
async def note_start(called):
    started.append((called, time.time()))


started = []  # when it was called and when it ran, in seconds since 1970


@task
async def query_and_wait(seconds):
    await users(1)
    await asyncio.sleep(seconds)


@task
async def query_three():
    for number in (1, 2, 3):
        await users(number)


@task
def query_three_sync():
    from django.contrib.auth.models import User

    for number in (1, 2, 3):
        User.objects.filter(pk=number).first()


@task
def query_slowly(seconds):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


async def users(number):
    from django.contrib.auth.models import User

    return await User.objects.filter(pk=number).afirst()


task_routes = [
    TaskRoute(nothing),
    TaskRoute(take),
    TaskRoute(wait),
    TaskRoute(note_start),
    TaskRoute(query_and_wait),
    TaskRoute(query_three),
    TaskRoute(query_three_sync),
    TaskRoute(query_slowly),
]
