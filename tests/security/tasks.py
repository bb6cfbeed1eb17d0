"""Tasks for hostile pushes: what ran is kept in this process and in the file of effects."""

from django.tasks import task

from asgi_tasks import TaskRoute
from tests.site.effects import record
from tests.site.task_routes import task_routes as site_routes

calls = []  # (task, args, kwargs) of each call in this process

HUGE = 10_000_000  # characters


def ran(name, *args, **kwargs):
    calls.append((name, list(args), kwargs))
    record(name, args=list(args), kwargs=kwargs)


@task
async def note(*args, **kwargs):
    ran("note", *args, **kwargs)


@task
def note_sync(*args, **kwargs):
    ran("note_sync", *args, **kwargs)


@task
async def take(a, b=0, *, c=0):
    ran("take", a, b, c=c)


@task
async def take_one(a, /):
    ran("take_one", a)


@task(takes_context=True)
async def take_context(context, key):
    ran("take_context", key, attempt=context.attempt)


@task
async def open_to_all(*args, **kwargs):
    ran("open_to_all", *args, **kwargs)


@task
async def raise_it(kind):
    ran("raise_it", kind)
    raise ERRORS[kind]()


@task
def raise_it_sync(kind):
    ran("raise_it_sync", kind)
    raise ERRORS[kind]()


@task
async def return_it(kind):
    ran("return_it", kind)
    return RESULTS[kind]()


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


class NoAttributes(Exception):
    @property
    def __cause__(self):
        raise ValueError("no cause")

    @property
    def __notes__(self):
        raise ValueError("no notes")


ERRORS = {
    "huge": lambda: ValueError("x" * HUGE),
    "surrogate": lambda: ValueError("\ud800"),
    "lines": lambda: ValueError("first\r\nsecond\x1b[31m\u2028third\x00"),
    "unprintable": Unprintable,
    "no attributes": NoAttributes,
    "not UTF-8": lambda: UnicodeDecodeError("utf-8", b"\xff" * 1000, 0, 1, "no"),
    "recursion": lambda: RecursionError("too deep"),
    "stop": StopAsyncIteration,
    "memory": MemoryError,
    "group": lambda: ExceptionGroup("many", [ValueError(n) for n in range(1000)]),
    "exit": lambda: SystemExit("out"),
}


def _deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def _loop():
    value = []
    value.append(value)
    return value


RESULTS = {
    "nan": lambda: float("nan"),
    "object": object,
    "not UTF-8": lambda: b"\xff",
    "set": lambda: {1},
    "surrogate": lambda: "\ud800",
    "lines": lambda: "first\r\nsecond\x1b[31m\u2028third\x00",
    "huge": lambda: "x" * HUGE,
    "deep": lambda: _deep(100_000),
    "integer": lambda: 10**5000,
    "coroutine": note.func,
    "generator": lambda: (n for n in range(3)),
    "key": lambda: {1: 2},
    "itself": _loop,
}

task_routes = [
    *site_routes,
    TaskRoute(note, aliases=("old_note",)),
    TaskRoute(note_sync),
    TaskRoute(take),
    TaskRoute(take_one),
    TaskRoute(take_context),
    TaskRoute(open_to_all, signed=False),
    TaskRoute(raise_it),
    TaskRoute(raise_it_sync),
    TaskRoute(return_it),
]
