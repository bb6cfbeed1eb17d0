"""Guards of what is written to the log, and how often."""

from . import Mutant

LOGS = "asgi_tasks/logs.py"
UNIT = "tests/unit/test_logs.py"
SITE = "tests/integration/test_logs.py"

MUTANTS = [
    Mutant(
        guard="a delivery whose line the run has written is not told of again",
        file="asgi_tasks/execution.py",
        old="    if not run.has_told(delivery):\n        tell(delivery, report)",
        new="    tell(delivery, report)",
        tests="tests/unit/test_dispatch.py -k delivery_is_one_line",
    ),
    Mutant(
        guard="a delivery that joined a run is told of",
        file="asgi_tasks/execution.py",
        old="    if not run.has_told(delivery):\n        tell(delivery, report)",
        new="    pass",
        tests=f"{SITE} -k comes_twice",
    ),
    Mutant(
        guard="an enqueue is told of",
        file="asgi_tasks/backends.py",
        old="            _tell(publication, seconds)\n",
        new="            pass\n",
        tests=f"{SITE} -k way_of_a_task",
    ),
    Mutant(
        guard="a task's own lines bear its id",
        file=LOGS,
        old="{**running, **found}.items()",
        new="found.items()",
        tests=f"{SITE} -k lines_that_a_task_logs",
    ),
    Mutant(
        guard="a line of another task does not bear the running one's attempt",
        file=LOGS,
        old="            running = {}  #",
        new="            pass  #",
        tests=f"{UNIT} -k another_task",
    ),
    Mutant(
        guard="the severity is ours to say",
        file=LOGS,
        old="ours | theirs | ours\n",
        new="ours | theirs\n",
        tests=f"{UNIT} -k not_overwritten",
    ),
    Mutant(
        guard="a line that JSON makes too long keeps its fields",
        file=LOGS,
        old="        if len(line) > LONGEST_LINE:  #",
        new="        if False:  #",
        tests=f"{UNIT} -k json_makes_too_long",
    ),
    Mutant(
        guard="lines outside of a delivery do not bear its id",
        file="asgi_tasks/current.py",
        old="        _fields.reset(self._token)",
        new="        pass",
        tests=f"{UNIT} -k whose_it_is",
    ),
    Mutant(
        guard="a record that cannot be shown is told of",
        file=LOGS,
        old="            return _stand_in(record, type(error).__name__)",
        new="            raise",
        tests=f"{UNIT} -k show_itself",
    ),
    Mutant(
        guard="an error that cannot be shown is named",
        file=LOGS,
        old='            return f"{name}, which cannot be shown: {type(error).__name__}"',
        new="            raise",
        tests=f"{UNIT} -k is_named",
    ),
    Mutant(
        guard="a message is bounded",
        file=LOGS,
        old='_cut(str(found.pop("message", "")), LONGEST_TEXT)',
        new='str(found.pop("message", ""))',
        tests=f"{UNIT} -k lengths",
    ),
    Mutant(
        guard="a traceback is bounded",
        file=LOGS,
        old="longest = LONGEST_TRACEBACK if",
        new="longest = LONGEST_LINE * 9 if",
        tests=f"{UNIT} -k lengths",
    ),
    Mutant(
        guard="a line is bounded",
        file=LOGS,
        old="return line if len(line) <= LONGEST_LINE else",
        new="return line if True else",
        tests=f"{UNIT} -k too_many_fields",
    ),
    Mutant(
        guard="what is not JSON is not written as if it were",
        file=LOGS,
        old="default=str, allow_nan=False)",
        new="default=str)",
        tests=f"{UNIT} -k not_json",
    ),
    Mutant(
        guard="Django's lines do not repeat ours",
        file=LOGS,
        old='            "django.tasks": {"level": "CRITICAL"},\n',
        new="",
        tests=f"{UNIT} -k each_line_once",
    ),
    Mutant(
        guard="a refused push is told of with its task",
        file="asgi_tasks/dispatch.py",
        old="        refusal.fields = fields\n",
        new="",
        tests="tests/unit/test_dispatch.py -k which_message",
    ),
]
