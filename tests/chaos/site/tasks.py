"""Tasks of all kinds. Each has the number it was enqueued with, which outlives its task id."""

import asyncio
import time

from django.contrib.auth.models import User
from django.tasks import task

from asgi_tasks import Discard

from .effects import leave_effect
from .points import journal

FAILURES = 2


@task(takes_context=True)
async def wait(context, number, seconds):
    await asyncio.sleep(seconds)
    leave_effect(context, number)


@task(takes_context=True)
def work(context, number, seconds):
    time.sleep(seconds)
    leave_effect(context, number)


@task(takes_context=True)
async def fail_first(context, number, seconds):
    await asyncio.sleep(seconds)
    fail_early(context)
    leave_effect(context, number)


@task(takes_context=True)
def fail_first_sync(context, number, seconds):
    fail_early(context)
    leave_effect(context, number)


@task(takes_context=True)
async def keep(context, number, seconds):
    await User.objects.aget_or_create(username=number)
    await asyncio.sleep(seconds)
    leave_effect(context, number)


@task(takes_context=True)
def keep_sync(context, number, seconds):
    User.objects.get_or_create(username=number)
    leave_effect(context, number)


@task(takes_context=True)
async def give_up(context, number, seconds):
    leave_effect(context, number)
    raise Discard("nothing to do")


@task(takes_context=True)
async def never_works(context, number, seconds):
    await asyncio.sleep(seconds)
    raise RuntimeError("as always")


@task(takes_context=True)
async def fan_out(context, number, seconds):
    children = [f"{number}.{index}" for index in range(2)]
    for child in children:
        result = await wait.aenqueue(number=child, seconds=seconds)
        journal.write("enqueued", id=result.id, kind="wait", number=child)
    leave_effect(context, number, children=children)


@task(takes_context=True)
async def newest(context, number, seconds):
    """Older revisions do not know it."""
    leave_effect(context, number)


def fail_early(context):
    if context.attempt <= FAILURES:
        raise RuntimeError("not yet")
