"""The number of a project, which the name of Pub/Sub's service agent holds."""

import pytest
from google.auth.exceptions import DefaultCredentialsError
from requests import ConnectionError as NotConnected
from requests import Response

from asgi_tasks.exceptions import ProvisioningError
from asgi_tasks.provisioning import service_agent
from asgi_tasks.provisioning.projects import look_up


class Session:
    """Answers as the Resource Manager API does."""

    def __init__(self, status=200, body=b'{"projectNumber": "42"}', error=None):
        self.asked = []
        self._response = Response()
        self._response.status_code, self._response._content = status, body
        self._response.reason = "Some Reason"
        self._error = error

    def get(self, url, *, timeout):
        self.asked.append(url)
        if self._error:
            raise self._error
        return self._response


def test_number_is_looked_up():
    session = Session()
    assert look_up("gyrinx-1", session) == "42"
    assert session.asked == ["https://cloudresourcemanager.googleapis.com/v1/projects/gyrinx-1"]


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (Session(403, b'{"error": {"message": "not allowed"}}'), "403 not allowed"),
        (Session(502, b"<html>"), "502 Some Reason"),
        (Session(200, b"<html>"), "JSONDecodeError"),
        (Session(200, b"{}"), "KeyError"),
        (Session(error=NotConnected("no route")), "ConnectionError: no route"),
        (Session(error=DefaultCredentialsError("none")), "DefaultCredentialsError: none"),
    ],
    ids=["forbidden", "bad gateway", "no JSON", "no number", "not connected", "no credentials"],
)
def test_failure_says_what_to_do(session, reason):
    with pytest.raises(ProvisioningError) as caught:
        look_up("gyrinx-1", session)
    message = str(caught.value)
    assert reason in message
    assert "--project-number" in message
    assert "gcloud projects describe gyrinx-1 --format='value(projectNumber)'" in message
    assert "gcloud auth application-default login" in message
    assert "gcloud services enable cloudresourcemanager.googleapis.com" in message
    assert "resourcemanager.projects.get" in message


def test_number_that_is_given_is_taken():
    agent = "serviceAccount:service-42@gcp-sa-pubsub.iam.gserviceaccount.com"
    assert service_agent("gyrinx-1", "42") == agent


def test_emulator_takes_any_number(monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    assert service_agent("gyrinx-1") == service_agent("another")
