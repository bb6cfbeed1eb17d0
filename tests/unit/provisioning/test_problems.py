"""Which command helps against which refusal."""

import pytest
from google.api_core.exceptions import PermissionDenied
from google.rpc.error_details_pb2 import ErrorInfo

from asgi_tasks.provisioning import Grant
from asgi_tasks.provisioning.problems import ACT_AS, Context, refused

from .builders import AGENT, SUBSCRIPTIONS, TOPICS

CONTEXT = Context(project_id="gyrinx-1", caller="user:op@gyrinx.app", push_account="invoker@g.iam")
EDITOR = (
    "gcloud projects add-iam-policy-binding gyrinx-1 "
    "--member=user:op@gyrinx.app --role=roles/pubsub.editor"
)
ACTING = (
    "gcloud iam service-accounts add-iam-policy-binding invoker@g.iam "
    "--member=user:op@gyrinx.app --role=roles/iam.serviceAccountUser"
)


def failure(permissions, *, message="no", grant=None, **info):
    error = PermissionDenied(message, error_info=ErrorInfo(**info) if info else None)
    return refused(error, "do it", permissions, CONTEXT, grant)


def test_permission_of_the_call_is_named_with_the_role_that_has_it():
    found = failure(["pubsub.topics.create"])
    assert str(found) == "Could not do it: no"
    assert (found.missing, found.commands) == ("pubsub.topics.create", (EDITOR,))


def test_every_permission_that_may_be_missing_is_named():
    found = failure(["pubsub.subscriptions.create", ACT_AS])
    assert found.missing == f"pubsub.subscriptions.create or {ACT_AS}"
    assert found.commands == (EDITOR, ACTING)


def test_permission_that_google_names_is_the_one():
    found = failure(["pubsub.subscriptions.create", ACT_AS], metadata={"permission": ACT_AS})
    assert (found.missing, found.commands) == (ACT_AS, (ACTING,))


def test_permission_in_googles_message_is_the_one():
    message = f"The principal lacks {ACT_AS} on invoker@g.iam"
    found = failure(["pubsub.subscriptions.create", ACT_AS], message=message)
    assert (found.missing, found.commands) == (ACT_AS, (ACTING,))


@pytest.mark.parametrize(
    ("message", "info"),
    [
        ("refused", {"reason": "SERVICE_DISABLED"}),
        ("Cloud Pub/Sub API has not been used in project 42 before or it is disabled", {}),
    ],
)
def test_disabled_api_is_enabled(message, info):
    found = failure(["pubsub.topics.list"], message=message, **info)
    assert found.missing == "the API pubsub.googleapis.com"
    assert found.commands == ("gcloud services enable pubsub.googleapis.com --project=gyrinx-1",)


def test_reading_policies_takes_an_admin():
    (command,) = failure(["pubsub.topics.getIamPolicy"]).commands
    assert command.endswith("--role=roles/pubsub.admin")


def test_grant_on_the_dead_letter_topic_is_for_somebody_else():
    grant = Grant(resource=f"{TOPICS}-dead-letter", role="roles/pubsub.publisher", member=AGENT)
    assert failure(["pubsub.topics.setIamPolicy"], grant=grant).commands == (
        "gcloud pubsub topics add-iam-policy-binding prod-gyrinx-tasks-dead-letter "
        f"--project=gyrinx-1 --member={AGENT} --role=roles/pubsub.publisher",
    )


def test_grants_on_subscriptions_are_one_on_the_project():
    grant = Grant(resource=f"{SUBSCRIPTIONS}-sub", role="roles/pubsub.subscriber", member=AGENT)
    assert failure(["pubsub.subscriptions.setIamPolicy"], grant=grant).commands == (
        "gcloud projects add-iam-policy-binding gyrinx-1 "
        f"--member={AGENT} --role=roles/pubsub.subscriber",
    )
