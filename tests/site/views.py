import json

from django.http import JsonResponse

from . import tasks


def enqueue(request, name):
    result = getattr(tasks, name).enqueue(**json.loads(request.GET.get("kwargs", "{}")))
    return JsonResponse({"id": result.id, "status": result.status})


async def aenqueue(request, name):
    result = await getattr(tasks, name).aenqueue(**json.loads(request.GET.get("kwargs", "{}")))
    return JsonResponse({"id": result.id, "status": result.status})
