"""What enqueue_task and run_task share: which task is called, and with which arguments."""

import inspect
import sys
from argparse import ArgumentParser
from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.tasks import Task
from django.utils.module_loading import import_string

from asgi_tasks.backends import get_backend
from asgi_tasks.checks import installed_tasks
from asgi_tasks.exceptions import InvalidMessage
from asgi_tasks.management.names import MODULES, nearest, unknown_task
from asgi_tasks.management.output import PrintingCommand
from asgi_tasks.messages import load_json
from asgi_tasks.routes import AnyTask, RouteTable, TaskRoute

STDIN: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A task, and the arguments of one call that it takes."""

    task: AnyTask
    route: TaskRoute | None  # None: the settings have no routes, or none for it
    args: list[Any]
    kwargs: dict[str, Any]

    @property
    def name(self) -> str:
        return self.route.name if self.route else self.task.name


class CallCommand(PrintingCommand):
    """One call of one task, by somebody at a shell."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "name", help="of the task's route, one of its aliases, or the task's dotted path"
        )
        parser.add_argument(
            "--kwargs",
            default="{}",
            metavar="JSON",
            help="the keyword arguments, an object; - reads it from standard input",
        )
        parser.add_argument(
            "--args",
            dest="positional",  # Django takes "args" for its own
            default="[]",
            metavar="JSON",
            help="the positional arguments, a list; - reads it from standard input",
        )

    def read_call(self, options: dict[str, Any]) -> Call:
        """What the command line describes. Raise CommandError."""
        try:
            task, route = _find(options["name"])
        except ImproperlyConfigured as error:
            raise CommandError(error) from error
        if options["positional"] == options["kwargs"] == STDIN:
            raise CommandError("Only one of --args and --kwargs can come from standard input.")
        args = _parse("--args", options["positional"], list, "a list: [1, 2]")
        kwargs = _parse("--kwargs", options["kwargs"], dict, 'an object: {"user_id": 1}')
        _check(task, args, kwargs)
        return Call(task=task, route=route, args=args, kwargs=kwargs)


def _find(name: str) -> tuple[AnyTask, TaskRoute | None]:
    backend = get_backend()
    for route in backend.routes if backend else ():
        if name in (*route.names, route.task.module_path):
            return route.task, route
    if "." in name:
        return _import(name), None
    raise CommandError(_unknown(name, backend.routes if backend else None))


def _import(path: str) -> AnyTask:
    try:
        found = import_string(path)
    except ImportError as error:
        near = unknown_task(path, [task.module_path for task in installed_tasks()], MODULES)
        raise CommandError(f"{near} ({error})") from error
    except Exception as error:  # whatever the module raises
        reason = f"{type(error).__name__}: {error}"
        raise CommandError(f"{path} cannot be imported: {reason}") from error
    if not isinstance(found, Task):
        raise CommandError(f"{path} is not a task: decorate it with django.tasks.task.")
    return found


def _unknown(name: str, table: RouteTable | None) -> str:
    if table is not None:
        return unknown_task(name, [each for route in table for each in route.names])
    paths = {task.name: task.module_path for task in installed_tasks()}
    said = "These settings have no PubSubBackend, and so no routes: give the task's dotted path"
    near = nearest(name, paths)
    return f"{said}, such as {paths[near]!r}." if near else f"{said}."


def _parse[T](option: str, text: str, kind: type[T], wanted: str) -> T:
    try:
        value = load_json(sys.stdin.buffer.read() if text == STDIN else text.encode())
    except UnicodeEncodeError as error:
        raise CommandError(f"{option} is not UTF-8.") from error
    except InvalidMessage as error:
        raise CommandError(f"{option} is {error}") from error
    if not isinstance(value, kind):
        raise CommandError(f"{option} has to be {wanted}")
    return value


def _check(task: AnyTask, args: list[Any], kwargs: dict[str, Any]) -> None:
    signature = inspect.signature(task.func)
    if task.takes_context:
        _, *parameters = signature.parameters.values()
        signature = signature.replace(parameters=parameters)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        said = f"{task.name}{signature} does not take these arguments: {error}."
        raise CommandError(said) from error
