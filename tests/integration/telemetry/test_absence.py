"""A site without OpenTelemetry: nothing of it is loaded, whatever the site does."""

import pytest


@pytest.fixture(scope="module")
def site(start_site, emulator, tmp_path_factory):
    routes = "tests.integration.telemetry.task_routes"
    with start_site(emulator, tmp_path_factory.mktemp("site"), TESTS_ROUTES=routes) as site:
        yield site


@pytest.mark.parametrize("view", ["enqueue", "aenqueue"])
@pytest.mark.parametrize("task", ["look", "look_sync"])
def test_enqueue_push_and_run_load_nothing_of_it(site, view, task):
    before = len(site.effects(task))
    site.wait_until_settled(site.enqueue(task, view=view))
    assert [effect["loaded"] for effect in site.effects(task)[before:]] == [[]]
