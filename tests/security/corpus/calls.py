"""Tasks that are not there, arguments that do not fit, and ways for a task to end."""

from tests.security.tasks import ERRORS, RESULTS

from .cases import DOCUMENT, RAN, Case, call, dump, push
from .fields import shown

# Names no route bears. Those that could not be a name are malformed.
NAMES = {
    "os.system": 404,
    "builtins.eval": 404,
    "subprocess.Popen": 404,
    "tests.security.tasks.note": 404,
    "tests.security.decoy": 404,
    "tests.security.decoy.task": 404,
    "_private": 404,
    "__class__": 404,
    "__init__": 404,
    "note.__class__.__mro__": 404,
    "note.func": 404,
    "Note": 404,
    "note_": 404,
    "note-sync": 404,
    "dead-letter": 404,
    "x" * 200: 404,
    "x" * 201: 400,
    "../../etc/passwd": 400,
    "/tasks/note": 400,
    "note\x00": 400,
    "note\n": 400,
    "note ": 400,
    " note": 400,
    "note\r\nWARNING forged": 400,
    "\x1b[31mnote": 400,
    "n\u043ete": 400,  # a Cyrillic o
    "\u2028note": 400,
    "note()": 400,
    "os:system": 400,
    "note;note": 400,
    "{note}": 400,
    "%(note)s": 400,
    ".note": 400,
    "-note": 400,
    "no\u200bte": 400,
    "note\u0660": 400,
}


def names():
    for name, status in NAMES.items():
        yield Case(name=f"task name {shown(name)}", status=status, body=call(name, "true"))
    document = DOCUMENT | {"task_name": "unheard_of"}
    forged = push(dump(document), task="unheard_of", key="a guess")
    yield Case(name="task name unknown and unsigned", status=404, body=dump(forged))
    hostile = DOCUMENT | {"module": "tests.security.decoy", "func": "os.system", "backend": "x"}
    yield Case(name="task name beside a module", status=204, body=dump(push(dump(hostile))))
    alias = ("note", ["by its old name"], {})
    yield Case(
        name="task name of before", status=204, body=call("old_note", *alias[1]), ran=(alias,)
    )


def arguments():
    yield from (
        Case(name=f"arguments {name}", status=400, body=call(task, *args, **kwargs))
        for name, task, args, kwargs in (
            ("missing", "take", (), {}),
            ("too many", "take", (1, 2, 3), {}),
            ("a million too many", "take", (0,) * 400_000, {}),
            ("unknown", "take", (1,), {"d": 1}),
            ("given twice", "take", (1,), {"a": 1}),
            ("keyword by position", "take", (1, 2, 3), {"c": 1}),
            ("positional by keyword", "take_one", (), {"a": 1}),
            ("self", "take", (1,), {"self": 1}),
            ("context forged", "take_context", ("key",), {"context": {"attempt": 9}}),
            ("context in a position", "take_context", ("context", "key"), {}),
            ("context alone", "take_context", (), {"context": 1}),
            ("an empty name", "take", (1,), {"": 1}),
            ("a name with a line break", "take", (1,), {"d\r\nWARNING forged": 1}),
            ("a name of Python", "take", (1,), {"__class__": "x"}),
        )
    )
    odd = {"self": 1, "context": 2, "args": 3, "kwargs": 4, "task": 5, "class": 6, "": 7}
    yield accepted("odd names", "note", [], odd)
    yield accepted("defaults", "take", [1], {}, ran=("take", [1, 0], {"c": 0}))
    yield accepted("keyword only", "take", [1], {"c": 3}, ran=("take", [1, 0], {"c": 3}))
    yield accepted("of every type", "note", [None, True, 1, -0.5, "é\x00\u2028", [], {}], {})
    yield accepted("in a thread", "note_sync", ["a"], {"b": [1]})
    yield accepted("of 400,000 values", "note", [0] * 400_000, {})
    ran = ("take_context", ["key"], {"attempt": 1})
    yield accepted("with a context", "take_context", ["key"], {}, ran=ran)
    unsigned = push(dump(DOCUMENT | {"task_name": "open_to_all"}), task="open_to_all", key="guess")
    ran = ("open_to_all", *RAN[1:])
    yield Case(name="unsigned, open to all", status=204, body=dump(unsigned), ran=(ran,))


def accepted(name, task, args, kwargs, *, ran=None):
    ran = ran or (task, args, kwargs)
    return Case(name=f"arguments {name}", status=204, body=call(task, *args, **kwargs), ran=(ran,))


def endings():
    for task in ("raise_it", "raise_it_sync"):
        for kind in ERRORS:
            ran = ((task, [kind], {}),)
            yield Case(name=f"{task}: {kind}", status=500, body=call(task, kind), ran=ran)
    for kind in RESULTS:
        has_run = kind not in ("coroutine", "generator")  # their bodies have not
        status, ran = (204 if has_run else 500), (("return_it", [kind], {}),)
        yield Case(name=f"return_it: {kind}", status=status, body=call("return_it", kind), ran=ran)
