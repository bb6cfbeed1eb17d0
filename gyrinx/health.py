"""Is this process alive? Answered before anything else, so that only the process can fail it."""

from asgiref.sync import iscoroutinefunction
from django.http import HttpResponse
from django.utils.decorators import sync_and_async_middleware

PATH = "/health/live"


@sync_and_async_middleware
def health_middleware(get_response):
    """First of all middleware: a probe's Host is an address, which ALLOWED_HOSTS would refuse."""
    if iscoroutinefunction(get_response):

        async def middleware(request):
            return live() if request.path == PATH else await get_response(request)
    else:

        def middleware(request):
            return live() if request.path == PATH else get_response(request)

    return middleware


def live():
    return HttpResponse("ok\n", content_type="text/plain", headers={"Cache-Control": "no-store"})
