"""The clients as they come, names to use with them, and a push endpoint."""

import re

import aiohttp
import pytest
from gcloud.aio import auth
from gcloud.aio import pubsub as gcloud_aio
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient

from .deliveries import PATIENCE, serving_sink, until_found
from .endpoint import NEEDS, chosen_endpoint, temporary_names

SCOPES = ["https://www.googleapis.com/auth/pubsub"]


def pytest_configure(config):
    config.addinivalue_line("markers", "emulator_only: not what Google's own Pub/Sub does")


@pytest.fixture(scope="session")
def endpoint():
    with chosen_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(autouse=True)
def environment(endpoint, request):
    if endpoint.is_google and request.node.get_closest_marker("emulator_only"):
        pytest.skip("for emulators only")
    with endpoint.environment():
        yield


@pytest.fixture(scope="session")
def needs(endpoint):
    def needs(variable):
        if not endpoint.has(variable):
            pytest.skip(f"with Google it needs {variable}: {NEEDS[variable]}")

    return needs


@pytest.fixture
def invalid(endpoint):
    """INVALID_ARGUMENT; an emulator names the field, Google words it in many ways."""

    def invalid(field):
        message = None if endpoint.is_google else re.escape(field.rpartition(".")[2])
        return pytest.raises(exceptions.InvalidArgument, match=message)

    return invalid


# Google's sync clients


@pytest.fixture(scope="session")
def publisher(endpoint):
    with endpoint.environment():
        client = pubsub_v1.PublisherClient()
    yield client
    client.stop()
    client.transport.close()


@pytest.fixture(scope="session")
def subscriber(endpoint):
    with endpoint.environment():
        client = pubsub_v1.SubscriberClient()
    with client:
        yield client


# Google's async clients


@pytest.fixture
async def async_publisher(endpoint):
    client = PublisherAsyncClient(transport=transport(PublisherAsyncClient, endpoint))
    yield client
    await client.transport.close()


@pytest.fixture
async def async_subscriber(endpoint):
    client = SubscriberAsyncClient(transport=transport(SubscriberAsyncClient, endpoint))
    yield client
    await client.transport.close()


def transport(client, endpoint):
    """These clients, unlike the others, do not read PUBSUB_EMULATOR_HOST."""
    import grpc.aio

    if endpoint.is_google:
        return "grpc_asyncio"
    channel = grpc.aio.insecure_channel(endpoint.host)
    return client.get_transport_class("grpc_asyncio")(channel=channel)


# gcloud-aio's clients, and what they have no method for


@pytest.fixture
async def aio_publisher():
    async with aiohttp.ClientSession() as session:
        yield gcloud_aio.PublisherClient(session=session)


@pytest.fixture
async def aio_subscriber():
    async with aiohttp.ClientSession() as session:
        yield gcloud_aio.SubscriberClient(session=session)


@pytest.fixture
async def rest(endpoint):
    headers = {}
    if endpoint.is_google:
        async with auth.Token(scopes=SCOPES) as token:
            headers["Authorization"] = f"Bearer {await token.get()}"
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(endpoint.url, headers=headers, timeout=timeout) as session:
        yield session


# What tests start from


@pytest.fixture
def names(endpoint, publisher, subscriber):
    with temporary_names(endpoint, publisher, subscriber) as names:
        yield names


@pytest.fixture
def topic(endpoint, publisher, names):
    name = names.topic()
    publisher.create_topic(name=name)
    if endpoint.is_google:
        until_found(lambda: publisher.publish(name, b"there?").result(PATIENCE))()
    return name


@pytest.fixture
def subscribe(subscriber, topic, names):
    """Makes subscriptions to the topic."""

    def subscribe(label="tasks", **fields):
        request = {"name": names.subscription(label), "topic": topic, **fields}
        return subscriber.create_subscription(request=request).name

    return subscribe


@pytest.fixture
def subscription(subscribe):
    return subscribe()


@pytest.fixture
def dead_letters(needs, publisher, subscriber, names):
    """A dead-letter policy; what it forwards comes to names.subscription("dead")."""
    needs("PUBSUB_CONFORMANCE_DEAD_LETTERS")
    publisher.create_topic(name=names.topic("dead"))
    subscriber.create_subscription(name=names.subscription("dead"), topic=names.topic("dead"))
    return {"dead_letter_topic": names.topic("dead"), "max_delivery_attempts": 5}


@pytest.fixture
def account(endpoint, needs):
    needs("PUBSUB_CONFORMANCE_ACCOUNT")
    return endpoint.account


@pytest.fixture
async def sink(endpoint, needs):
    needs("PUBSUB_CONFORMANCE_PUSH_URL")
    async with serving_sink(endpoint) as sink:
        yield sink
