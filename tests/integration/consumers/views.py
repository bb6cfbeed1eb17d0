"""Pages that enqueue, with a body for the toolbar, and one that waits to be ended."""

import asyncio

from django.http import HttpResponse, JsonResponse

from tests.site import tasks

begun, ended = asyncio.Event(), asyncio.Event()


def sync(request):
    return page(tasks.add_sync.enqueue(1, b=2).id)


async def asynchronous(request):
    return page((await tasks.add.aenqueue(1, b=2)).id)


async def slow(request):
    begun.set()
    await ended.wait()
    return page("none")


async def has_begun(request):
    return JsonResponse(begun.is_set(), safe=False)


async def end(request):
    ended.set()
    return JsonResponse(True, safe=False)


def page(task_id):
    return HttpResponse(f"<html><body><p id='task'>{task_id}</p></body></html>")
