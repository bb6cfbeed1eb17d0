"""Who runs it, for the commands that a failure shows."""

import pytest

from asgi_tasks.provisioning.calls import member


class OfAMachine:
    """As Cloud Run gives them: the account is known once they were refreshed."""

    service_account_email = "default"

    def refresh(self, request):
        self.service_account_email = "job@gyrinx-1.iam.gserviceaccount.com"


class OfAKey:
    service_account_email = "key@gyrinx-1.iam.gserviceaccount.com"


class OfAPerson:
    account = "op@gyrinx.app"


class OfNobody:
    account = ""


@pytest.mark.parametrize(
    ("credentials", "found"),
    [
        (OfAMachine(), "serviceAccount:job@gyrinx-1.iam.gserviceaccount.com"),
        (OfAKey(), "serviceAccount:key@gyrinx-1.iam.gserviceaccount.com"),
        (OfAPerson(), "user:op@gyrinx.app"),
        (OfNobody(), None),
    ],
    ids=["machine", "key", "person", "nobody"],
)
def test_member_is_who_the_credentials_are_of(credentials, found):
    assert member(credentials) == found
