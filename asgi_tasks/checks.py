"""The system checks asgi_tasks.E0NN: what is wrong in TASKS and in the routes.

PubSubBackend.check() brings them, so they run with Django's own check of TASKS; those for
production alone come with the app (apps.py).
docs/reference/checks.md has a line on each.
"""

from collections.abc import Iterable, Iterator
from importlib import import_module
from urllib.parse import urlsplit

from django.apps import apps
from django.core import checks
from django.core.checks import CheckMessage
from django.db import connections
from django.tasks import Task, task_backends
from django.tasks.backends.base import BaseTaskBackend
from django.utils.module_loading import module_has_submodule

from .conf import (
    GOOGLE_CERTS_URL,
    LOOPBACK_HOSTS,
    BackendOptions,
    InvalidConfiguration,
    Problem,
    get_options,
)
from .routes import AnyTask, RouteTable, TaskRoute, describe, get_route_table


def check_backend(backend: BaseTaskBackend) -> Iterator[CheckMessage]:
    """All that is wrong with this backend's options and routes, each with a hint."""
    yield from map(_message, _find_second_aliases(backend))
    try:
        options = get_options(backend.alias)
        table = get_route_table(backend.alias)
    except InvalidConfiguration as error:
        yield from map(_message, error.problems)
        return
    problems = (
        *_find_foreign_routes(table, backend.alias),
        *_find_unrouted_tasks(table, backend.alias),
        *_find_long_deadlines(table, options),
    )
    yield from map(_message, problems)


def check_deployment(backend: BaseTaskBackend) -> Iterator[CheckMessage]:
    """What must not be so in production. Raise InvalidConfiguration, as check_backend() says."""
    options, table = get_options(backend.alias), get_route_table(backend.alias)
    problems = (
        *_find_foreign_certificates(options),
        *_find_private_service(options),
        *(problem for alias in connections for problem in _find_unfit_database(alias)),
        *_find_unsigned_routes(table),
    )
    yield from map(_message, problems)


def _message(problem: Problem) -> CheckMessage:
    kind = checks.Warning if ".W" in problem.id else checks.Error
    return kind(problem.message, hint=problem.hint, id=problem.id)


def _find_foreign_certificates(options: BackendOptions) -> Iterable[Problem]:
    if options.certs_url != GOOGLE_CERTS_URL:
        hint = "Leave out the option 'certs_url'; another is for development."
        yield Problem("asgi_tasks.E014", "Pushes are not checked with Google's keys.", hint)


def _find_private_service(options: BackendOptions) -> Iterable[Problem]:
    if urlsplit(options.service_url).hostname in LOOPBACK_HOSTS:
        message = f"Pub/Sub cannot reach {options.service_url}, which is this machine only."
        hint = "Set the option 'service_url' to the public https URL of the service."
        yield Problem("asgi_tasks.E015", message, hint)


def _find_unfit_database(alias: str) -> Iterable[Problem]:
    database = connections.settings[alias]
    where = f"DATABASES[{alias!r}]"
    if database["CONN_MAX_AGE"] != 0:
        message = (
            f"{where} keeps its connections (CONN_MAX_AGE is {database['CONN_MAX_AGE']}): under "
            "ASGI each thread that served a page holds one that nobody uses again."
        )
        hint = f"Set {where}['CONN_MAX_AGE'] to 0; ['OPTIONS']['pool'] is what keeps them few."
        yield Problem("asgi_tasks.W002", message, hint)
    if database["ENGINE"].endswith((".sqlite3", ".spatialite")):
        message = f"{where} is SQLite: an instance's disk is neither shared nor kept."
        hint = f"Set {where}['ENGINE'] to that of a database server."
        yield Problem("asgi_tasks.W003", message, hint)


def _find_unsigned_routes(table: RouteTable) -> Iterable[Problem]:
    for route in table:
        if not route.signed:
            topics = " or ".join(table.topic(name) for name in route.names)
            message = (
                f"The route {route.name!r} is not signed: anybody who may publish to {topics} "
                "runs this task with arguments of their choice."
            )
            hint = (
                f"Remove signed=False in {describe(table.options.routes)}. If others than this "
                "site have to feed the task, let it check its arguments, look who holds "
                "roles/pubsub.publisher there, and accept this with "
                "SILENCED_SYSTEM_CHECKS = ['asgi_tasks.W004']."
            )
            yield Problem("asgi_tasks.W004", message, hint)


def _find_second_aliases(backend: BaseTaskBackend) -> Iterable[Problem]:
    aliases = [alias for alias in task_backends if _are_akin(task_backends[alias], backend)]
    if aliases.index(backend.alias) > 0:
        message = f"TASKS[{backend.alias!r}] is a second PubSubBackend, after {aliases[0]!r}."
        yield Problem("asgi_tasks.E011", message, "One serves all routes: remove the other.")


def _are_akin(one: BaseTaskBackend, other: BaseTaskBackend) -> bool:
    return isinstance(one, type(other)) or isinstance(other, type(one))


def _find_foreign_routes(table: RouteTable, alias: str) -> Iterable[Problem]:
    for route in table:
        if route.task.backend != alias:
            message = f"{route.task.module_path} has a route here, but its backend is "
            hint = f"Remove the route or decorate the task with @task(backend={alias!r})."
            yield Problem("asgi_tasks.E010", f"{message}{route.task.backend!r}.", hint)


def _find_unrouted_tasks(table: RouteTable, alias: str) -> Iterable[Problem]:
    for task in installed_tasks():
        if task.backend == alias and task not in table:
            hint = f"Add TaskRoute({task.name}) to {describe(table.options.routes)}."
            yield Problem("asgi_tasks.E009", f"{task.module_path} has no route.", hint)


def installed_tasks() -> Iterator[AnyTask]:
    """The tasks in the `tasks` modules of the installed apps, each function once."""
    seen = set()
    for app in apps.get_app_configs():
        if app.module and module_has_submodule(app.module, "tasks"):
            for value in vars(import_module(f"{app.name}.tasks")).values():
                if isinstance(value, Task) and value.func not in seen:
                    seen.add(value.func)
                    yield value


def _find_long_deadlines(table: RouteTable, options: BackendOptions) -> Iterable[Problem]:
    for route in table:
        if route.ack_deadline > options.service_timeout:
            yield Problem("asgi_tasks.W001", *_long_deadline(route, options))


def _long_deadline(route: TaskRoute, options: BackendOptions) -> tuple[str, str]:
    return (
        f"The ack_deadline of {route.name!r} ({route.ack_deadline} s) is longer than the "
        f"service's request timeout ({options.service_timeout:g} s), which ends the push first.",
        "Raise the timeout of the Cloud Run service and the option 'service_timeout'.",
    )
