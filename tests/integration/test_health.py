"""/health/live and /health/ready of gyrinx under Daphne, with a database that comes and goes."""

import contextlib
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from tests.postgres import postgres
from tests.processes import free_port, python, running, wait_until_listening

LIMIT = 4  # seconds: the two that the database gets, and a busy machine
PASSWORD = "never-shown"
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "gyrinx.settings_prod",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQR",
    "ALLOWED_HOSTS": "gyrinx.example",
    "GCP_PROJECT_ID": "tests",
    "TASKS_SERVICE_URL": "https://gyrinx.example",
    "TASKS_SERVICE_ACCOUNT": "pusher@tests.iam.gserviceaccount.com",
    "EMAIL_HOST": "localhost",
}


class Relay:
    """Stands between site and database, so that a test can hang the one and count the other."""

    def __init__(self, port):
        self._target = ("127.0.0.1", port)
        self._flows = threading.Event()
        self._flows.set()
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self):
        self._flows.clear()

    def resume(self):
        self._flows.set()

    def close(self):
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                far = socket.create_connection(self._target)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source, target):
        with source, contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def database():
    with postgres() as url:
        yield url


@pytest.fixture
def relay(database):
    relay = Relay(urlsplit(database).port)
    yield relay
    relay.resume()
    relay.close()


@pytest.fixture
def site():
    """site(url): production's site with this database, and a function that asks it."""
    port = free_port()

    @contextlib.contextmanager
    def site(url, **variables):
        command = ("-m", "asgi_tasks.server", "-p", port, "gyrinx.asgi:application")
        env = {**PRODUCTION, "DATABASE_URL": url, **variables}
        with running(sys.executable, *command, env=env) as process:
            wait_until_listening(process, f"http://127.0.0.1:{port}/health/live")
            yield process, Probe(f"http://127.0.0.1:{port}/health")

    return site


class Probe:
    """As Cloud Run asks: by address, and without the header that says https."""

    def __init__(self, url):
        self._url = url

    def __call__(self, name):
        try:
            with urllib.request.urlopen(f"{self._url}/{name}", timeout=10) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


def through(relay, database):
    parts = urlsplit(database)
    user = f"{parts.username}:{PASSWORD}"
    return parts._replace(netloc=f"{user}@127.0.0.1:{relay.port}").geturl()


def test_ready_while_the_database_answers(site, database):
    with site(database) as (_, probe):
        assert [probe("ready"), probe("live")] == [(200, b"ok\n")] * 2


def test_ready_with_sqlite(site, tmp_path):
    local = {"DJANGO_SETTINGS_MODULE": "gyrinx.settings_local", "GYRINX_VAR": str(tmp_path)}
    with site("", **local) as (_, probe):
        assert probe("ready") == (200, b"ok\n")


def test_not_ready_without_a_database_and_says_no_more(site):
    url = f"postgres://tests:{PASSWORD}@127.0.0.1:{free_port()}/postgres"
    with site(url) as (process, probe):
        started = time.monotonic()
        assert probe("ready") == (503, b"unavailable\n")
        assert time.monotonic() - started < LIMIT
        assert probe("live") == (200, b"ok\n")
        process.wait_for("not ready: the database did not answer: ")
    assert PASSWORD not in process.output


def test_ready_again_when_the_database_is_back(site, database, relay):
    with site(through(relay, database)) as (_, probe):
        assert probe("ready")[0] == 200
        relay.hang()
        started = time.monotonic()
        assert probe("ready")[0] == 503
        assert time.monotonic() - started < LIMIT
        relay.resume()
        deadline = time.monotonic() + 20
        while probe("ready")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_liveness_does_not_wait_for_a_hanging_database(site, database, relay):
    relay.hang()
    with site(through(relay, database)) as (_, probe), ThreadPoolExecutor(1) as pool:
        ready = pool.submit(probe, "ready")
        started = time.monotonic()
        assert probe("live")[0] == 200
        assert time.monotonic() - started < 1
        assert ready.result()[0] == 503


def test_flood_of_probes_opens_no_more_connections(site, database, relay):
    relay.hang()
    with (
        site(through(relay, database), DATABASE_POOL_MAX="8") as (_, probe),
        ThreadPoolExecutor(40) as pool,
    ):
        statuses = {status for status, _ in pool.map(probe, ["ready"] * 40)}
    assert statuses == {503}
    assert relay.connections <= 2  # the one the pool starts with, and one for the question


def test_hanging_database_does_not_keep_the_process_from_stopping(site, database, relay):
    relay.hang()
    with site(through(relay, database)) as (process, probe):
        assert probe("ready")[0] == 503
        process.stop(timeout=8)


ASK = """
import django
django.setup()
from django.test import Client
print([Client().get(f"/health/{name}").status_code for name in ("live", "ready")])
"""


@pytest.mark.parametrize(("port", "statuses"), [(None, [200, 200]), (1, [200, 503])])
def test_sync_server_is_answered_alike(database, port, statuses):
    url = database if port is None else f"postgres://tests@127.0.0.1:{port}/postgres"
    output = python("-c", ASK, env={**PRODUCTION, "DATABASE_URL": url})
    assert output.splitlines()[-1] == str(statuses)
