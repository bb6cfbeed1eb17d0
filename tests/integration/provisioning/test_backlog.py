"""A provisioned project at work: dead letters, a rename and a pause, each with its messages."""

import asyncio
from collections import Counter

import pytest

from tests.site import tasks

BACKLOG = 1000
SETTINGS = "tests.integration.provisioning.site_settings"
ROUTES = "tests.integration.provisioning.routes"


@pytest.fixture
def serve(start_site, emulator, tmp_path):
    """A function that starts the test site with these routes, as a context manager."""

    def serve(routes):
        variables = {"DJANGO_SETTINGS_MODULE": SETTINGS, "TESTS_ROUTES": f"{ROUTES}.{routes}"}
        return start_site(emulator, tmp_path, **variables)

    return serve


async def enqueue_backlog(offset=0):
    numbers = range(offset, offset + BACKLOG)
    await asyncio.gather(*(tasks.add.aenqueue(number, 0) for number in numbers))


def runs(site):
    """How often the task ran, by its argument."""
    return Counter(effect["result"] for effect in site.effects("add"))


def assert_each_ran_once(site, project, count):
    site.wait_until(lambda: len(runs(site)) >= count)
    project.emulator.wait_until_settled()
    messages = project.emulator.messages(task=None)
    assert {message.state for message in messages} == {"acknowledged"}
    answered = sum(one.status is not None for message in messages for one in message.deliveries)
    assert sum(runs(site).values()) <= answered  # more than once by redelivery alone
    if answered == count:
        assert set(runs(site).values()) == {1}
    assert runs(site).keys() == set(range(count))


async def test_poisoned_message_is_a_dead_letter_after_its_attempts(project, serve):
    project.use("poisoned")
    with serve("poisoned") as site:
        result = await tasks.fail.aenqueue()
        (record,) = site.wait_until_settled(result.id)
    assert [one["status"] for one in record["deliveries"]] == [500] * 5
    (letter,) = project.emulator.messages(topic="test-site-dead-letter")
    assert letter.task_id == result.id
    assert letter.subscription.endswith("/test-site-dead-letter-sub")
    assert letter.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"


async def test_rename_with_an_alias_loses_nothing_of_a_backlog(project, serve):
    project.use("before_rename")
    project.provision()
    await enqueue_backlog()
    project.use("after_rename")
    with serve("after_rename") as site:
        await tasks.add.aenqueue(BACKLOG, 0)
        await asyncio.to_thread(assert_each_ran_once, site, project, BACKLOG + 1)
    by_name = Counter(message.task for message in project.emulator.messages())
    assert by_name == {"sum_up": BACKLOG, "add_together": 1}


async def test_paused_backlog_runs_once_resumed(project, serve):
    with serve("one") as site:
        project.use("one", service_url=site.url)
        project.run("add", command="task_pause")
        await enqueue_backlog()
        project.provision()
        assert {message.state for message in project.emulator.messages()} == {"waiting"}
        assert site.effects("add") == []
        project.run("add", command="task_resume")
        await asyncio.to_thread(assert_each_ran_once, site, project, BACKLOG)
