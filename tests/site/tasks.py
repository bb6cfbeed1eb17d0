"""Tasks of every kind, for the tests."""

import asyncio
import logging
import sys
import time

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.tasks import task

from asgi_tasks import Discard

from .effects import record

logger = logging.getLogger("tests.site")


@task
async def add(a, b):
    record("add", result=a + b)
    return a + b


@task
def add_sync(a, b):
    record("add_sync", result=a + b)
    return a + b


@task(takes_context=True)
async def fail_twice(context, key):
    record("fail_twice", key=key, attempt=context.attempt)
    if context.attempt < 3:
        raise RuntimeError("not yet")


@task(takes_context=True)
def fail_twice_sync(context, key):
    record("fail_twice_sync", key=key, attempt=context.attempt)
    if context.attempt < 3:
        raise RuntimeError("not yet")


@task
def fail():
    record("fail")
    raise ValueError("always")


@task
def fail_at_length():
    raise ValueError("at length " * 10_000)


@task
async def wait(seconds):
    record("wait")
    await asyncio.sleep(seconds)
    record("waited")


@task
def wait_sync(seconds):
    record("wait_sync")
    time.sleep(seconds)
    record("waited_sync")


@task
async def query_and_wait(seconds):
    await User.objects.acount()
    record("queried")
    await asyncio.sleep(seconds)
    record("query_and_wait")


@task
def query_sync(seconds):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM auth_user")
    time.sleep(seconds)
    record("query_sync", count=User.objects.count())


@task
async def fan_out(numbers):
    for number in numbers:
        await add.aenqueue(number, 0)


@task
def fan_out_sync(numbers):
    for number in numbers:
        add_sync.enqueue(number, 0)


@task
async def give_up():
    record("give_up")
    raise Discard("nothing to do")


@task
async def leave():
    sys.exit("a task that exits")


@task
def return_object():
    record("return_object")
    return object()


@task
async def log(text):
    await sync_to_async(logger.info)("%s, in a thread", text)
    logger.warning("%s, on the loop", text)


@task
def log_sync(text):
    logger.info("%s, in a lane", text)


@task
async def echo(*args, **kwargs):
    return [list(args), kwargs]
