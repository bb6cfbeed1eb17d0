"""Two questions of Cloud Run's, answered before anything else.

/health/live: does this process still answer? It touches nothing, so only the process can fail it.
/health/ready: can it serve? It asks the database, for two seconds at the most.
"""

import asyncio
import logging
import threading
from concurrent.futures import Future

from asgiref.sync import iscoroutinefunction
from django.db import connection
from django.http import HttpResponse
from django.utils.decorators import sync_and_async_middleware

LIVE, READY = "/health/live", "/health/ready"
PATIENCE = 2  # seconds

logger = logging.getLogger(__name__)


@sync_and_async_middleware
def health_middleware(get_response):
    """First of all middleware: a probe's Host is an address, which ALLOWED_HOSTS would refuse."""
    if iscoroutinefunction(get_response):

        async def middleware(request):
            if request.path == LIVE:
                return answer(200)
            if request.path == READY:
                return answer(await aready())
            return await get_response(request)
    else:

        def middleware(request):
            if request.path == LIVE:
                return answer(200)
            if request.path == READY:
                return answer(ready())
            return get_response(request)

    return middleware


def answer(status):
    """The page is public: it says no more than its status."""
    text = "ok\n" if status == 200 else "unavailable\n"
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(text, status=status, content_type="text/plain", headers=headers)


def ready():
    """200, or 503 if the database does not answer in time."""
    try:
        error = question.ask().result(PATIENCE)
    except TimeoutError as late:
        error = late
    return status(error)


async def aready():
    """See ready()."""
    # Shielded: others may be waiting for the same answer.
    answered = asyncio.shield(asyncio.wrap_future(question.ask()))
    try:
        error = await asyncio.wait_for(answered, PATIENCE)
    except TimeoutError as late:
        error = late
    return status(error)


def status(error):
    if error is None:
        return 200
    logger.warning("not ready: the database did not answer: %s", type(error).__name__)
    return 503


class Question:
    """One query at a time, in a thread of its own; whoever asks meanwhile gets its answer too.

    So a flood of probes costs one connection, and a database that hangs holds one thread.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._asked = None

    def ask(self):
        """The answer to come: None, or what was raised."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                # A daemon: while the database hangs, the process must be able to stop.
                threading.Thread(target=query, args=(self._asked,), daemon=True).start()
            return self._asked


def query(answered):
    error = None
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception as raised:  # whatever the driver or the pool raises, the answer is no
        error = raised
    finally:
        connection.close()
        answered.set_result(error)


question = Question()
