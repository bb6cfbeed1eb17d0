"""Pub/Sub's service agent: its name holds the project's number, which settings do not know."""

import os
from typing import Any, Final, Protocol

from ..exceptions import ProvisioningError
from .problems import LOGIN

RESOURCE_MANAGER: Final = "https://cloudresourcemanager.googleapis.com/v1/projects/"
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
STAND_IN: Final = "123456789012"  # the emulator knows no projects, and takes any number
TIMEOUT: Final = 20  # seconds


class Session(Protocol):
    """What is used of google.auth's AuthorizedSession."""

    def get(self, url: str, *, timeout: float) -> Any: ...


def service_agent(project_id: str, number: str | None = None) -> str:
    """Pub/Sub's service agent as a member of IAM. Raise ProvisioningError."""
    if number is None:
        number = STAND_IN if os.environ.get("PUBSUB_EMULATOR_HOST") else look_up(project_id)
    return f"serviceAccount:service-{number}@gcp-sa-pubsub.iam.gserviceaccount.com"


def look_up(project_id: str, session: Session | None = None) -> str:
    """The project's number, by the Resource Manager API. Raise ProvisioningError."""
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        response = (session or _session()).get(RESOURCE_MANAGER + project_id, timeout=TIMEOUT)
        if response.status_code != 200:
            raise _unknown(project_id, f"{response.status_code} {_message(response)}")
        return str(response.json()["projectNumber"])
    except (GoogleAuthError, RequestException, ValueError, KeyError) as error:
        raise _unknown(project_id, f"{type(error).__name__}: {error}") from error


def _session() -> Session:
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=[SCOPE])
    session: Session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    return session


def _message(response: Any) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(response.reason)


def _unknown(project_id: str, reason: str) -> ProvisioningError:
    return ProvisioningError(
        f"Could not look up the number of the project {project_id}, which names the service agent "
        f"that forwards dead letters: {reason}\n"
        "Give it with --project-number; this prints it:\n"
        f"    gcloud projects describe {project_id} --format='value(projectNumber)'\n"
        "or let it be looked up: log in, enable the API, and have resourcemanager.projects.get:\n"
        f"    {LOGIN}\n"
        f"    gcloud services enable cloudresourcemanager.googleapis.com --project={project_id}\n"
        f"    gcloud projects add-iam-policy-binding {project_id} --member=WHO_RUNS_THIS "
        "--role=roles/browser\n"
        "or leave the grants to somebody else with --no-grants."
    )
