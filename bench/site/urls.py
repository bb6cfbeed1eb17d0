from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from bench.site import tasks


@csrf_exempt
async def empty(request):
    return HttpResponse(status=204)


@csrf_exempt
async def query_three(request):
    """The body of the task of that name."""
    for number in (1, 2, 3):
        await tasks.users(number)
    return HttpResponse(status=204)


async def started(request):
    """What note_start has noted since it was last asked for."""
    noted, tasks.started = tasks.started, []
    return JsonResponse({"started": noted})


urlpatterns = [path("empty/", empty), path("query-three/", query_three), path("started/", started)]
