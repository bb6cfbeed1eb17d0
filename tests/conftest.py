import os
import sys

import pytest

from tests.processes import running

# What a developer's shell may hold is not the tests' business.
for _name in (
    "PUBSUB_EMULATOR_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "DJANGO_ALLOW_ASYNC_UNSAFE",
):
    os.environ.pop(_name, None)


class Emulator:
    """The emulator's process, and its record seen over REST."""

    def __init__(self, process, host):
        self.process = process
        self.host = host
        self.url = f"http://{host}"


@pytest.fixture(scope="module")
def emulator():
    """The emulator, with retries fifty times as fast as Google's.

    A new one for each module: a site's subscriptions push to its own port.
    """
    command = (sys.executable, "-m", "asgi_tasks.emulator", "--port", "0", "--time-factor", "0.02")
    with running(*command) as process:
        yield Emulator(process, process.wait_for(r"listening on http://(\S+)")[1])
