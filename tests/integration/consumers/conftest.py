import pytest


@pytest.fixture(scope="module")
def site(start_site, emulator, tmp_path_factory):
    """The test site with the apps of others, behind the emulator."""
    folder = tmp_path_factory.mktemp("consumers")
    settings = "tests.integration.consumers.settings"
    with start_site(emulator, folder, DJANGO_SETTINGS_MODULE=settings) as site:
        yield site
