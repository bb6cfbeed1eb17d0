import json
import sys
import urllib.request

import pytest

from tests.processes import python, running

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url):
    with OPENER.open(url, timeout=5) as response:
        return response.read().decode()


@pytest.fixture
def emulator():
    """The host:port of an emulator nobody else uses."""
    with running(sys.executable, "-m", "asgi_tasks.emulator", "--port", "0") as process:
        yield process.wait_for(r"listening on http://(\S+)")[1]


ROUTES = """
import django, json
django.setup()
from gyrinx.task_routes import task_routes
print(json.dumps({route.name: route.ack_deadline for route in task_routes}))
"""


@pytest.fixture(scope="session")
def ack_deadlines():
    """Of gyrinx's tasks, by name: from a process of its own, for these settings have no site."""
    return json.loads(python("-c", ROUTES, env={"DJANGO_SETTINGS_MODULE": "gyrinx.settings"}))
