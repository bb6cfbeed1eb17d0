import contextlib
import sys
import uuid
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.processes import free_port, python, running, wait_until_listening

from .collector import collector, environment


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A collector, and what it has taken so far."""
    with collector(tmp_path_factory.mktemp("collector")) as collected:
        yield collected


@pytest.fixture(scope="module")
def own_database_url(database_url):
    """A database of PostgreSQL's that no other site has migrated."""
    name = f"gyrinx_{uuid.uuid4().hex}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield urlunsplit(urlsplit(database_url)._replace(path=f"/{name}"))
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Gyrinx:
    """The site's process."""

    def __init__(self, process, url):
        self.process = process
        self.url = url


@contextlib.contextmanager
def serving_gyrinx(emulator, folder, database_url, **variables):
    """The site on PostgreSQL, migrated and provisioned, behind the emulator."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {
        "DJANGO_SETTINGS_MODULE": "gyrinx.settings_local",
        "PUBSUB_EMULATOR_HOST": emulator.host,
        "TASKS_SERVICE_URL": url,
        "DATABASE_URL": database_url,
        "GYRINX_VAR": str(folder),
        **variables,
    }
    python("manage.py", "migrate", "--verbosity", "0", env=env)
    python("manage.py", "provision_tasks", env=env)
    command = (sys.executable, "-m", "asgi_tasks.server", "-p", port, "gyrinx.asgi:application")
    with running(*command, env=env) as process:
        wait_until_listening(process, url)
        yield Gyrinx(process, url)


@pytest.fixture(scope="module")
def gyrinx(emulator, own_database_url, collected, tmp_path_factory):
    """The site, which tells the collector what it does."""
    folder = tmp_path_factory.mktemp("gyrinx")
    told = environment(collected)
    with serving_gyrinx(emulator, folder, own_database_url, **told) as gyrinx:
        yield gyrinx
