"""What the commands say of a name that is none."""

import difflib
from collections.abc import Iterable


def unknown_task(name: str, names: Iterable[str]) -> str:
    """No task is named 'ad'. Did you mean 'add'?"""
    known = sorted(names)
    near = nearest(name, known)
    hint = f"Did you mean {near!r}?" if near else f"The names are: {', '.join(known)}."
    return f"No task is named {name!r}. {hint}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)), None)
