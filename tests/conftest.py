import pytest

import tests.environment  # noqa: F401 - before anything reads the variables it takes away
from asgi_tasks.testing import emulator_process
from tests.postgres import PostgresMissing, postgres
from tests.sites import running_site
from tests.tokens import CertificatesServer, Signer

# Where the library is installed, pytest finds it by its entry point.
pytest_plugins = ["asgi_tasks.testing.plugin", "tests.telemetry"]


@pytest.fixture(scope="module")
def emulator():
    """The emulator, with retries fifty times as fast as Google's.

    A new one for each module: a site's subscriptions push to its own port.
    """
    with emulator_process(time_factor=0.02) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def start_site():
    """A context manager: start_site(emulator, folder, **environment) runs the site's Daphne."""
    return running_site


@pytest.fixture(scope="module")
def site(start_site, emulator, tmp_path_factory):
    """The test site on SQLite, behind the emulator."""
    with start_site(emulator, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="session")
def signer():
    """The key that signs the pushes which tests make themselves."""
    return Signer()


@pytest.fixture(scope="session")
def certificates(signer):
    """Where a site finds the certificate of `signer`."""
    server = CertificatesServer(signer.by_key)
    yield server
    server.close()


@pytest.fixture(scope="session")
def database_url():
    """A PostgreSQL database."""
    try:
        with postgres() as url:
            yield url
    except PostgresMissing as missing:
        pytest.skip(str(missing))
