import pytest

from asgi_tasks.testing import emulator_in_process, emulator_process
from tests.endpoints import Endpoint

from .pubsub import PubSub


@pytest.fixture(params=["pubsub_emulator", "pubsub_emulator_process"])
def emulator(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=[emulator_in_process, emulator_process], ids=["in_process", "process"])
def start_emulator(request):
    return request.param


@pytest.fixture
def endpoint():
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


@pytest.fixture
def pubsub(emulator, endpoint):
    """A topic that is pushed to the endpoint. Time stands still: nothing is retried by itself."""
    pubsub = PubSub(emulator)
    pubsub.subscribe(endpoint.url)
    emulator.clock.freeze()
    return pubsub
