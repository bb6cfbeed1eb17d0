"""The push endpoint as a Django view, for projects that cannot wrap their ASGI application.

It costs more than PushEndpoint: each push passes Django's handler and middleware.
"""

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from .backends import get_backend
from .dispatch import receive
from .exceptions import BodyTooLarge


@csrf_exempt
@login_not_required
async def push(request: HttpRequest) -> HttpResponse:
    """Answer a push. See asgi_tasks.asgi.PushEndpoint."""
    backend = get_backend()
    if backend is None:
        raise Http404("TASKS has no PubSubBackend")

    async def read(limit: int) -> bytes:
        # Not request.body: DATA_UPLOAD_MAX_MEMORY_SIZE is about forms, and smaller.
        body = request.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge(f"a body of more than {limit:,} bytes")
        return body

    headers = {name.lower(): value for name, value in request.headers.items()}
    answer = await receive(backend, request.method or "", headers, read)
    return HttpResponse(status=answer.status, headers=dict(answer.headers))
