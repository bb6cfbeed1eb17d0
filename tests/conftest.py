import pytest

import tests.environment  # noqa: F401 - before anything reads the variables it takes away
from asgi_tasks.testing import emulator_process

# Where the library is installed, pytest finds it by its entry point.
pytest_plugins = ["asgi_tasks.testing.plugin"]


@pytest.fixture(scope="module")
def emulator():
    """The emulator, with retries fifty times as fast as Google's.

    A new one for each module: a site's subscriptions push to its own port.
    """
    with emulator_process(time_factor=0.02) as emulator:
        yield emulator
