"""Why a call of Google's failed, and the command that helps: pure, but for the types of errors."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ..exceptions import ProvisioningError
from .resources import Grant, kind, short

API: Final = "pubsub.googleapis.com"
ACT_AS: Final = "iam.serviceAccounts.actAs"
SOMEBODY: Final = "serviceAccount:WHO_RUNS_THIS"
LOGIN: Final = "gcloud auth application-default login"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a command needs to be exact."""

    project_id: str
    caller: str = SOMEBODY  # a member of IAM
    push_account: str = ""
    api: str = API  # whose calls these are


class CallFailed(ProvisioningError):
    """Pub/Sub refused a call or did not answer it.

    ``missing`` (str) names the permission or API that is missing, if that is why, and ``commands``
    (tuple of str) what to run against it.
    """

    def __init__(self, message: str, *, missing: str = "", commands: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.missing = missing
        self.commands = tuple(commands)


class Conflict(CallFailed):
    """Something is there already, or is gone: look again."""


def refused(
    error: Any, action: str, permissions: Iterable[str], context: Context, grant: Grant | None
) -> CallFailed:
    """The failure that a PERMISSION_DENIED stands for, with what helps."""
    if error.reason == "SERVICE_DISABLED" or "has not been used in project" in error.message:
        command = f"gcloud services enable {context.api} --project={context.project_id}"
        return _failed(error, action, f"the API {context.api}", [command])
    named = (error.metadata or {}).get("permission")
    missing = [named] if named else list(permissions)
    if ACT_AS in missing and ACT_AS in error.message:
        missing = [ACT_AS]
    commands = grant_commands(grant, context) if grant else _role_commands(missing, context)
    return _failed(error, action, " or ".join(missing), commands)


def grant_commands(grant: Grant, context: Context) -> list[str]:
    """What to give to somebody who may set IAM policies."""
    who = f"--member={grant.member or context.caller} --role={grant.role}"
    if kind(grant.resource) == "topics" or not grant.member:
        on = kind(grant.resource)
        of = f"gcloud pubsub {on} add-iam-policy-binding {short(grant.resource)}"
        return [f"{of} --project={context.project_id} {who}"]
    return [f"gcloud projects add-iam-policy-binding {context.project_id} {who}"]


def _failed(error: Any, action: str, missing: str, commands: Iterable[str]) -> CallFailed:
    return CallFailed(f"Could not {action}: {error.message}", missing=missing, commands=commands)


def _role_commands(permissions: Iterable[str], context: Context) -> list[str]:
    return list(dict.fromkeys(_role_command(permission, context) for permission in permissions))


def _role_command(permission: str, context: Context) -> str:
    if permission == ACT_AS:
        return (
            f"gcloud iam service-accounts add-iam-policy-binding {context.push_account} "
            f"--member={context.caller} --role=roles/iam.serviceAccountUser"
        )
    if permission.startswith("monitoring."):
        role = "roles/monitoring.viewer"
    else:
        role = "roles/pubsub.admin" if permission.endswith("IamPolicy") else "roles/pubsub.editor"
    return (
        f"gcloud projects add-iam-policy-binding {context.project_id} "
        f"--member={context.caller} --role={role}"
    )
