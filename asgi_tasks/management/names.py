"""What the commands say of a name that is none."""

import difflib
from collections.abc import Iterable
from typing import Final

ROUTES: Final = "the routes of these settings"
MODULES: Final = "the modules named 'tasks' of INSTALLED_APPS"


def unknown_task(name: str, names: Iterable[str], where: str = ROUTES) -> str:
    """No task is named 'ad'. Did you mean 'add'?

    ``where`` the names are from, in case there are none.
    """
    known = sorted(names)
    near = nearest(name, known)
    if near:
        hint = f"Did you mean {near!r}?"
    elif known:
        hint = f"The names are: {', '.join(known)}."
    else:
        hint = f"No tasks were found in {where}."
    return f"No task is named {name!r}. {hint}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)), None)
