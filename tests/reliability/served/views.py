import asyncio
import gc

from django.contrib.auth.models import User
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from asgi_tasks.server.channel import Channel
from tests.site.effects import record

from . import tasks


async def start(request, count, gate):
    """Enqueue so many tasks that wait for the gate, every tenth of them a sync one."""
    for key in range(count):
        task = tasks.run_sync if key % 10 == 5 else tasks.run
        await task.aenqueue(f"{gate} {key}", gate=gate)
    return JsonResponse({})


@csrf_exempt
def form(request):
    """What was posted, and the sizes of the files."""
    files = {name: file.size for name, file in request.FILES.items()}
    return JsonResponse({"fields": request.POST.dict(), "files": files})


async def async_page(request):
    return render(request, "page.html", {"users": []})


def sync_page(request):
    return render(request, "page.html", {"users": User.objects.order_by("username")[:20]})


def show_path(request):
    return JsonResponse({"path": request.get_full_path(), "prefix": request.META["SCRIPT_NAME"]})


async def be_large(request):
    """Twenty megabytes, once the gate is open."""
    record("be_large", state="began")
    while not tasks.is_open("gate"):  # noqa: ASYNC110 - another process opens it
        await asyncio.sleep(0.2)
    return HttpResponse(b"x" * 20_000_000)


async def be_slow(request):
    await asyncio.sleep(float(request.GET["seconds"]))
    return JsonResponse({})


async def fail_midway(request):
    async def parts():
        yield b"the beginning"
        raise ValueError("midway")

    return StreamingHttpResponse(parts())


def count_channels(request):
    """How many connections this process still remembers."""
    gc.collect()
    return JsonResponse({"count": sum(type(one) is Channel for one in gc.get_objects())})
