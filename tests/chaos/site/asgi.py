"""The endpoint between two points at which its process dies."""

import asyncio
import base64
import json
import os
import random
import signal
import threading

from django.core.asgi import get_asgi_application
from django.tasks.signals import task_finished, task_started

from asgi_tasks.asgi import PushEndpoint

from .points import ANSWERED, FINISHED, RECEIVED, STARTED, WRITTEN, journal, pass_by

UNTIL_WRITTEN = 0.02  # seconds; the loop writes what it was handed in its next turn
# Of the connections; else the broker would keep to those it has, and never meet a new server.
CLOSED = 0.5


class Mortal:
    """Any ASGI application whose process may die before it hears and after it speaks."""

    def __init__(self, application):
        self.application = application
        self.is_at_work = False

    async def __call__(self, scope, receive, send):
        push = Push()

        async def receive_and_die():
            message = await receive()
            if message["type"] == "http.request":
                push.read(message)
                self.note(push)
                push.pass_by(RECEIVED)
            return message

        async def send_and_die(message):
            if message["type"] == "http.response.start" and random.random() < CLOSED:
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)
            if message["type"] == "http.response.body":
                push.pass_by(ANSWERED)
                asyncio.get_running_loop().call_later(UNTIL_WRITTEN, push.pass_by, WRITTEN)

        await self.application(scope, receive_and_die, send_and_die)

    def note(self, push):
        if not push.delivery:
            return
        journal.write("pushed", id=push.task_id, number=push.delivery[0])
        if not self.is_at_work:
            self.is_at_work = True
            journal.write("at work")


class Push:
    """Which delivery of which task a request is, if it is one."""

    def __init__(self):
        self._body = b""
        self.delivery = None
        self.task_id = None

    def read(self, message):
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            self.delivery, self.task_id = _delivery(self._body)
            self._body = b""

    def pass_by(self, point):
        if self.delivery:
            pass_by(point, *self.delivery)


def _delivery(body):
    try:
        push = json.loads(body)
        message = json.loads(base64.b64decode(push["message"]["data"]))
        delivery = str(message["kwargs"]["number"]), push["deliveryAttempt"]
        return delivery, str(push["message"]["attributes"]["task_id"])
    except Exception:  # whatever strangers send
        return None, None


def _die_at_signal(point):
    def receiver(sender, task_result, **kwargs):
        pass_by(point, task_result.kwargs["number"], task_result.attempts)

    return receiver


def _die_with_parent():
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


on_start, on_finish = _die_at_signal(STARTED), _die_at_signal(FINISHED)
task_started.connect(on_start)
task_finished.connect(on_finish)
threading.Thread(target=_die_with_parent, name="parent", daemon=True).start()
application = Mortal(PushEndpoint(get_asgi_application()))
