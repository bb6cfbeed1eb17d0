import json
import os
import urllib.request

import aiohttp
import pytest
from gcloud.aio import pubsub as gcloud_aio
from google.cloud import pubsub_v1

from tests.site import tasks

from .pubsub import QUEUE, TOPIC, PubSub, statuses

SITE_TOPIC = "projects/tests/topics/test-site-add-sync"


def test_environment_leads_to_the_emulator(emulator):
    assert os.environ["PUBSUB_EMULATOR_HOST"] == emulator.host
    assert emulator.url == f"http://{emulator.host}"


def test_certificates_are_at_their_url(emulator):
    with urllib.request.urlopen(emulator.certs_url) as response:
        certificates = json.load(response)
    assert all("BEGIN CERTIFICATE" in certificate for certificate in certificates.values())


@pytest.mark.parametrize("time", ["first", "second"])
def test_emulator_is_empty_at_first(emulator, time):
    PubSub(emulator).create_topic(TOPIC)  # would be refused if it were there
    assert emulator.messages() == []


def test_defaults_suit_tests(emulator, pubsub):
    status = pubsub.status()
    assert status["time_factor"] == 0.01
    assert status["subscriptions"][0]["push_window"] == 1000


def test_sync_client_of_google_is_served(emulator, pubsub):
    with pubsub_v1.SubscriberClient() as subscriber:
        assert subscriber.get_subscription(subscription=QUEUE).topic == TOPIC


async def test_gcloud_aio_is_served(emulator, pubsub):
    async with aiohttp.ClientSession() as session:
        client = gcloud_aio.PublisherClient(session=session)
        await client.publish(TOPIC, [gcloud_aio.PubsubMessage(b"data")])
    assert statuses(await emulator.adeliver_all()) == [204]


def test_sync_code_publishes_to_the_emulator_of_this_test(emulator, endpoint):
    PubSub(emulator).subscribe(endpoint.url, topic=SITE_TOPIC)
    result = tasks.add_sync.enqueue(1, 2)
    (delivery,) = emulator.deliver_all()
    assert (delivery.task, delivery.task_id) == ("add_sync", result.id)


async def test_async_code_publishes_to_the_emulator_of_this_test(emulator, endpoint):
    PubSub(emulator).subscribe(endpoint.url, topic=SITE_TOPIC)
    result = await tasks.add_sync.aenqueue(1, 2)
    (delivery,) = await emulator.adeliver_all()
    assert (delivery.task, delivery.task_id) == ("add_sync", result.id)
