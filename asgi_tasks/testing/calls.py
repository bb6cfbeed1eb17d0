"""Calls of tasks, compared and shown by the names of their parameters."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from django.tasks import Task
from django.utils.json import normalize_json

from ..routes import AnyTask

SHOWN_CHARACTERS = 200  # of a call


def arguments(task: AnyTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Each given argument by its parameter's name, as JSON has it.

    Raise TypeError if the task has no such parameter.
    """
    __tracebackhide__ = True
    check_is_task(task)
    signature = inspect.signature(task.func)
    if task.takes_context:
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    try:
        bound = signature.bind_partial(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{task.module_path}: {error}") from None
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        is_mapping = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        named |= value if is_mapping else {name: value}
    return {name: normalize_json(value) for name, value in named.items()}


def check_is_task(task: object) -> None:
    """Raise TypeError if it is none, such as the function itself or a name."""
    __tracebackhide__ = True
    if not isinstance(task, Task):
        raise TypeError(f"{task!r} is not a task: give what @task made, not its function or name.")


def includes(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether what is wanted is among what was found."""
    return all(name in found and found[name] == value for name, value in wanted.items())


def show(task: AnyTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """shop.tasks.send_receipt(order_id=42), shortened."""
    given = [repr(value) for value in args]
    given += [f"{name}={value!r}" for name, value in kwargs.items()]
    text = f"{task.module_path}({', '.join(given)})"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
