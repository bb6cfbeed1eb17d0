"""What the scripts of test_enqueue_processes.py begin with."""

import asyncio
import os
import sys
import traceback

import django
from django.conf import settings

if not settings.configured or not django.apps.apps.ready:
    django.setup()

from tests.site import tasks


def send(number):
    return tasks.echo.enqueue(number).id


def send_on_a_loop(number):
    return asyncio.run(tasks.echo.aenqueue(number)).id


def say(*words):
    """One line, whole, also from a thread that the interpreter is about to leave behind."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def fork(function, *arguments):
    """Call it in a forked child, and say what came of it."""
    child = os.fork()
    if child == 0:
        try:
            say("sent", function(*arguments))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        sys.exit()
    _, status = os.waitpid(child, 0)
    assert status == 0, status
