"""The labels by which we know what is ours, and what somebody decided about it."""

import re
from datetime import date
from typing import Final

from .resources import Labels

MANAGED_BY: Final = "managed-by"
ENVIRONMENT: Final = "environment"
ROUTE: Final = "route"
PAUSED: Final = "asgi-tasks-paused"  # since when nothing is pushed, by task_pause
RETIRED: Final = "asgi-tasks-retired"  # since when no route needs it, by --prune
GRANTS: Final = "asgi-tasks-grants"  # "pending" until the service agent has its role
OURS: Final = "asgi-tasks"

PENDING: Final = {GRANTS: "pending"}
LONGEST: Final = 63  # characters of a value


def identity(environment: str, slug: str) -> dict[str, str]:
    """What every resource of a route bears."""
    return {
        MANAGED_BY: OURS,
        ENVIRONMENT: label_value(environment),
        ROUTE: label_value(slug),
    }


def label_value(text: str) -> str:
    """The text as Google takes it for a label: lower-case, 63 characters."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:LONGEST]


def merged(live: Labels, wanted: Labels) -> dict[str, str]:
    """Foreign labels stay, and so does a pause; that it was retired does not."""
    kept = {name: value for name, value in live.items() if name not in (RETIRED, GRANTS)}
    return kept | dict(wanted)


def retired_on(labels: Labels) -> date | None:
    """When it was retired; None if it was not, or if that cannot be read."""
    try:
        return date.fromisoformat(labels.get(RETIRED, ""))
    except ValueError:
        return None
