"""What `task_routes` tells of each route."""

import inspect
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asgi_tasks.capacity import Kind, retry_horizon
from asgi_tasks.provisioning import Action, Change, Plan, PubSubAdmin, desired, plan
from asgi_tasks.provisioning.pausing import paused_since
from asgi_tasks.routes import DEAD_LETTER, RouteTable, TaskRoute, topic_id

AS_IT_SHOULD_BE = "as its route says"


def describe(table: RouteTable, route: TaskRoute) -> dict[str, Any]:
    """The route as plain values; times are in seconds."""
    return {
        "name": route.name,
        "task": f"{route.task.func.__module__}.{route.task.func.__qualname__}",
        "code": code_of(route),
        "kind": kind_of(route),
        "topic": topic_id(table.options, route.name),
        "ack_deadline": route.ack_deadline,
        "deadline": route.deadline,
        "min_retry_delay": route.min_retry_delay,
        "max_retry_delay": route.max_retry_delay,
        "max_delivery_attempts": route.max_delivery_attempts,
        "retry_seconds": horizon_of(route),
        "signed": route.signed,
        "aliases": {name: topic_id(table.options, name) for name in route.aliases},
    }


def kind_of(route: TaskRoute) -> Kind:
    """Whether the task runs on the event loop or in a lane."""
    return "coroutine" if inspect.iscoroutinefunction(route.task.func) else "sync"


def horizon_of(route: TaskRoute) -> float:
    """How long the task is tried at the least before it is a dead letter."""
    return retry_horizon(route.min_retry_delay, route.max_retry_delay, route.max_delivery_attempts)


def code_of(route: TaskRoute) -> str:
    """The file and line of the task's function, as seen from here: 'core/tasks.py:31'."""
    code = inspect.unwrap(route.task.func).__code__
    path = Path(code.co_filename)
    if path.is_relative_to(Path.cwd()):
        path = Path(os.path.relpath(path))
    return f"{path}:{code.co_firstlineno}"


def deployed(table: RouteTable) -> dict[str, str]:
    """What Pub/Sub holds for each name, beside what it should. Raise ProvisioningError."""
    options = table.options
    account = options.push_service_account
    with PubSubAdmin(options.project_id, push_account=account) as admin:
        live = admin.live()
    found = plan(desired(table), live, datetime.now(UTC).date())
    names = [name for route in table for name in route.names]
    return {name: "; ".join(_state(table, found, name)) for name in (*names, DEAD_LETTER)}


def _state(table: RouteTable, found: Plan, name: str) -> Iterator[str]:
    topic, subscription = table.topic(name), table.subscription(name)
    paused = [paused_since(one) for one in found.paused if one.name == subscription]
    chain = next((chain for chain in found.chains if chain.name == topic), None)
    if paused:
        yield f"paused since {paused[0]}"
    if chain:
        yield from drift(chain.changes)
    elif not paused:
        yield AS_IT_SHOULD_BE


def drift(changes: Iterable[Change]) -> Iterator[str]:
    """How a topic and its subscription differ from what the route says, each in a few words."""
    for change in changes:
        if change.action == Action.CREATE:
            yield f"no {change.kind}"
        elif change.action == Action.BLOCKED:
            yield change.why
        else:
            yield from _differences(change)


def _differences(change: Change) -> Iterator[str]:
    for one in change.differences:
        before = "not set" if one.before is None else one.before
        yield f"{one.field} is {before}" + ("" if one.after is None else f", not {one.after}")
