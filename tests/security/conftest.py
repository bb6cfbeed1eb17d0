"""Pushes with Google's tokens, made here, to both adapters in this process."""

import pytest
from django.conf import settings as django_settings

from tests.adapters import Client, endpoint, view
from tests.tokens import CertificatesServer

from .forgeries import AUDIENCE, OTHER, SIGNER


@pytest.fixture(scope="session")
def google():
    """The endpoint of the certificates."""
    server = CertificatesServer(SIGNER.by_key | OTHER.by_key)
    yield server
    server.close()


@pytest.fixture
def configure(settings, google):
    """configure(**options) gives the test site these options; it trusts SIGNER and OTHER."""
    correct = django_settings.TASKS["default"]

    def configure(**options):
        options = correct["OPTIONS"] | {"certs_url": google.url} | options
        settings.TASKS = {"default": correct | {"OPTIONS": options}}

    return configure


@pytest.fixture(params=[endpoint, view], ids=["PushEndpoint", "view"])
def client(request):
    """Pub/Sub with a good token."""
    return Client(*request.param(), SIGNER.token(AUDIENCE))


@pytest.fixture
def lines(caplog):
    """The library's log lines so far."""
    caplog.set_level(0)
    return lambda: [record.getMessage() for record in caplog.records if record.name == "asgi_tasks"]
