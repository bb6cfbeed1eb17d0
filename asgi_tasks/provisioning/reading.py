"""From what the API shows to a plan, in as few calls as it allows."""

from datetime import date

from .changes import Plan
from .clients import PubSubAdmin
from .planning import plan, unread
from .resources import Desired


def read_and_plan(  # noqa: PLR0913 - keywords
    desired: Desired,
    admin: PubSubAdmin,
    today: date,
    *,
    verify_iam: bool = False,
    prune: bool = False,
    force: bool = False,
) -> Plan:
    """Two lists and the policy of the dead letters; those of subscriptions that will change.

    Raise ProvisioningError.
    """
    grants = [pair.grant for pair in desired] if verify_iam else [desired.dead_letters.grant]
    live = admin.live([grant.resource for grant in grants if grant])
    first = plan(desired, live, today, prune=prune, force=force)
    if not (names := unread(first, live)):
        return first
    return plan(desired, admin.with_policies(live, names), today, prune=prune, force=force)
