"""TaskRoute and RouteTable: the URLconf of tasks."""

import functools
import inspect
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.tasks import Task
from django.utils.module_loading import import_string

from .conf import BackendOptions, InvalidConfiguration, Problem, clear_options, get_options
from .exceptions import Discard, RouteNotFound, TaskNotFound
from .messages import TASK_NAME

# A redelivery starts when the ack deadline passes; a run ends this much sooner. Seconds.
DEADLINE_MARGIN = 5
DEAD_LETTER = "dead-letter"
PUBSUB_ID = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")


type AnyTask = Task[..., Any]


@dataclass(frozen=True, slots=True)
class TaskRoute:
    """How one task is named, delivered and retried. Times are in seconds.

    Raise TypeError or ValueError if a value is not one that Pub/Sub takes:
    https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions
    """

    task: AnyTask
    _: KW_ONLY
    name: str = None  # type: ignore[assignment]  # on the wire; the function's name unless given
    ack_deadline: int = 300  # 10-600, also the longest a push may take
    min_retry_delay: int = 10  # 0-600, doubled after each failure
    max_retry_delay: int = 600  # 0-600
    max_delivery_attempts: int = 25  # 5-100; after that the message is a dead letter
    timeout: float | None = None  # of a run; ack_deadline less five seconds unless shorter
    signed: bool = True  # False lets publishers who are not us feed this task
    aliases: tuple[str, ...] = ()  # former names, each with its topic and subscription
    discard_on: tuple[type[Exception], ...] = ()  # errors that trying again would not mend

    def __post_init__(self) -> None:
        if not isinstance(self.task, Task):
            raise TypeError(f"{self.task!r} is not a task. Decorate it with django.tasks.task.")
        if self.name is None:
            object.__setattr__(self, "name", self.task.name)
        if isinstance(self.aliases, str):
            raise TypeError(f"aliases of {self.name!r} is a string. Write ({self.aliases!r},).")
        object.__setattr__(self, "aliases", tuple(self.aliases))
        for name in self.names:
            self._check_name(name)
        self._check("ack_deadline", 10, 600)
        self._check("min_retry_delay", 0, 600)
        self._check("max_retry_delay", self.min_retry_delay, 600)
        self._check("max_delivery_attempts", 5, 100)
        if self.timeout is not None:
            self._check_timeout(self.timeout)
        self._check_discard_on()

    @property
    def names(self) -> tuple[str, ...]:
        """The name, then the aliases."""
        return (self.name, *self.aliases)

    @property
    def deadline(self) -> float:
        """How long a run may take, in seconds."""
        longest = self.ack_deadline - DEADLINE_MARGIN
        return longest if self.timeout is None else min(self.timeout, longest)

    def discards(self, error: BaseException) -> bool:
        """Whether the error ends the task for good."""
        return isinstance(error, (Discard, *self.discard_on))

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Raise TypeError if the task's function does not take these arguments."""
        context = (None,) if self.task.takes_context else ()
        _signature(self.task.func).bind(*context, *args, **kwargs)

    def _check(self, field: str, low: int, high: int) -> None:
        value = getattr(self, field)
        if not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{field} of {self.name!r} is {value!r}, not {low} to {high}.")

    def _check_timeout(self, value: float) -> None:
        if not isinstance(value, int | float) or not 0 < value <= self.ack_deadline:
            message = f"timeout of {self.name!r} is {value!r}, not within its ack_deadline "
            raise ValueError(f"{message}({self.ack_deadline}).")

    def _check_discard_on(self) -> None:
        errors = self.discard_on
        if not isinstance(errors, tuple) or not all(map(_is_error, errors)):
            message = f"discard_on of {self.name!r} is {errors!r}, not a tuple of exception classes"
            raise TypeError(f"{message}: write (SomeError,).")

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str) or not TASK_NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot name a task: letters, digits, '_', '.' and '-', at most 200. "
                "Give the TaskRoute another name=."
            )


class RouteTable:
    """The routes of a site, by task and by name on the wire."""

    def __init__(self, routes: Iterable[TaskRoute], options: BackendOptions) -> None:
        """Raise InvalidConfiguration if two routes collide or a topic cannot be named."""
        self.routes = tuple(routes)
        self.options = options
        self.signing_keys = options.signing_keys
        if problems := list(find_problems(self.routes, options)):
            raise InvalidConfiguration(problems)
        self._by_name = {name: route for route in self.routes for name in route.names}
        self._by_func = {route.task.func: route for route in self.routes}

    def __iter__(self) -> Iterator[TaskRoute]:
        return iter(self.routes)

    def __contains__(self, task: AnyTask) -> bool:
        return task.func in self._by_func

    def route_for(self, task: AnyTask) -> TaskRoute:
        """The route of a task about to be enqueued. Raise RouteNotFound."""
        try:
            return self._by_func[task.func]
        except KeyError:
            message = f"{task.module_path} has no route. Add TaskRoute({task.name}) to "
            raise RouteNotFound(message + f"{describe(self.options.routes)}.") from None

    def resolve(self, name: str) -> TaskRoute:
        """The route a message names. Raise TaskNotFound."""
        try:
            return self._by_name[name]
        except KeyError:
            raise TaskNotFound(f"no route is named {name!r}") from None

    def topic(self, name: str) -> str:
        """The full resource name of the topic of a route's name or alias."""
        return f"projects/{self.options.project_id}/topics/{topic_id(self.options, name)}"

    def subscription(self, name: str) -> str:
        """The full resource name of the push subscription of a route's name or alias."""
        topic = topic_id(self.options, name)
        return f"projects/{self.options.project_id}/subscriptions/{topic}-sub"

    @property
    def dead_letter_topic(self) -> str:
        """The full resource name of the topic of all dead letters."""
        return self.topic(DEAD_LETTER)

    @property
    def dead_letter_subscription(self) -> str:
        """The full resource name of the pull subscription of the dead letters."""
        return self.subscription(DEAD_LETTER)


def topic_id(options: BackendOptions, name: str) -> str:
    """prod-gyrinx-tasks-send-welcome-email"""
    return f"{options.environment}-{options.topic_prefix}-{slug(name)}"


@functools.lru_cache(maxsize=4096)
def slug(name: str) -> str:
    """The part of the names in Pub/Sub that is the task's: send-welcome-email"""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def find_problems(routes: Sequence[TaskRoute], options: BackendOptions) -> Iterator[Problem]:
    """What keeps these routes from working together."""
    where = f"Edit {describe(options.routes)}."
    names = [name for route in routes for name in route.names]
    for name in _repeated(names):
        yield Problem("asgi_tasks.E007", f"Two routes bear the name {name!r}.", where)
    for path in _repeated(route.task.module_path for route in routes):
        hint = f"{where} A former name belongs into aliases=."
        yield Problem("asgi_tasks.E013", f"{path} has two routes.", hint)
    topics = [topic_id(options, name) for name in (DEAD_LETTER, *dict.fromkeys(names))]
    for topic in _repeated(topics):
        hint = f"{where} {topic_id(options, DEAD_LETTER)!r} is the topic of the dead letters."
        yield Problem("asgi_tasks.E008", f"Two names yield the topic {topic!r}.", hint)
    for topic in topics:
        if topic.endswith("-") or not PUBSUB_ID.fullmatch(f"{topic}-sub"):
            hint = "Pub/Sub names have 3 to 255 characters and do not start with 'goog'."
            yield Problem("asgi_tasks.E012", f"{topic!r} cannot name a topic.", hint)


def load_routes(path: str) -> list[TaskRoute]:
    """The list that the option `routes` points to. Raise InvalidConfiguration."""
    try:
        if _is_module(path):
            found = getattr(import_module(path), "task_routes", None)
        else:
            found = import_string(path)
    except Exception as error:  # whatever the user's module raises belongs into the report
        message = f"The routes cannot be loaded from {path!r}: {type(error).__name__}: {error}"
        hint = "The option 'routes' names a module with a list `task_routes`."
        raise InvalidConfiguration([Problem("asgi_tasks.E005", message, hint)]) from error
    if not isinstance(found, list | tuple) or not all(isinstance(r, TaskRoute) for r in found):
        raise InvalidConfiguration([_no_list(path)])
    return list(found)


@functools.cache
def get_route_table(alias: str) -> RouteTable:
    """The routes of TASKS[alias], loaded once a process. Raise InvalidConfiguration."""
    options = get_options(alias)
    return RouteTable(load_routes(options.routes), options)


@receiver(setting_changed)
def clear_route_table(*, setting: str, **kwargs: Any) -> None:
    """Forget the routes when a test changes the settings they come from."""
    clear_options(setting=setting)
    get_route_table.cache_clear()


def describe(path: str) -> str:
    """Where the list of routes is, for people: "`task_routes` in gyrinx.task_routes"."""
    return f"`task_routes` in {path}" if _is_module(path) else f"the list {path}"


def _is_module(path: str) -> bool:
    try:
        return find_spec(path) is not None
    except ModuleNotFoundError:
        return False


def _no_list(path: str) -> Problem:
    message = f"The option 'routes' is {path!r}, which is no list of TaskRoute."
    return Problem("asgi_tasks.E006", message, "Write `task_routes = [TaskRoute(...), ...]` there.")


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


_signature = functools.cache(inspect.signature)
