import json

from django.http import JsonResponse
from django.tasks import default_task_backend


def enqueue(request, name):
    result = _find(name).enqueue(**json.loads(request.GET.get("kwargs", "{}")))
    return JsonResponse({"id": result.id, "status": result.status})


async def aenqueue(request, name):
    result = await _find(name).aenqueue(**json.loads(request.GET.get("kwargs", "{}")))
    return JsonResponse({"id": result.id, "status": result.status})


def _find(name):
    return default_task_backend.routes.resolve(name).task
