"""The commands of the operator: task_status, enqueue_task and run_task."""

from tests.mutants import Mutant

STATUS = "tests/integration/provisioning/test_status.py"
BACKLOGS = "tests/integration/provisioning/test_backlogs.py"
CALLS = "tests/integration/test_task_calls.py"
PRINTING = "tests/integration/dead_letters/test_printing.py"


def mutant(guard, file, old, new, tests):
    return Mutant(guard=guard, file=f"asgi_tasks/{file}", old=old, new=new, tests=tests)


MUTANTS = [
    # task_status
    mutant(
        "the newest figure counts",
        "provisioning/backlogs.py",
        "series.points[0]",
        "series.points[-1]",
        f"{BACKLOGS} -k newest",
    ),
    mutant(
        "who may not read the figures is told the role",
        "provisioning/problems.py",
        'permission.startswith("monitoring.")',
        "False",
        f"{BACKLOGS} -k denied",
    ),
    mutant(
        "the messages under way count as well",
        "provisioning/backlogs.py",
        'one["waiting"] + one["outstanding"]',
        'one["outstanding"]',
        f"{STATUS} -k paused_task",
    ),
    mutant(
        "dead letters need a person",
        "management/status.py",
        "    if status.dead_letters.messages:\n",
        "    if False:\n",
        f"{BACKLOGS} -k dead_letters",
    ),
    mutant(
        "a pause needs a person",
        "management/status.py",
        "    if state.paused_since:\n        text",
        "    if False:\n        text",
        f"{STATUS} -k paused_task",
    ),
    mutant(
        "drift needs a person",
        "management/status.py",
        "    if state.drift:\n",
        "    if False:\n",
        f"{STATUS} -k drift",
    ),
    mutant(
        "figures that nobody told are no zeros",
        "management/commands/task_status.py",
        "    if status.failure:\n        raise",
        "    if False:\n        raise",
        f"{BACKLOGS} -k 'denied_reader_sees or without_the_extra'",
    ),
    mutant(
        "silence about every subscription is not all well",
        "management/commands/task_status.py",
        "if status.source and not status.is_known:",
        "if False:",
        f"{BACKLOGS} -k no_figure",
    ),
    # enqueue_task and run_task
    mutant(
        "arguments that do not fit are refused before anything runs",
        "management/calling.py",
        "        _check(task, args, kwargs)\n",
        "",
        f"{CALLS} -k do_not_fit",
    ),
    mutant(
        "what is no task is not called",
        "management/calling.py",
        "if not isinstance(found, Task):",
        "if False:",
        f"{CALLS} -k 'that_is_none and system'",
    ),
    mutant(
        "a task in doubt is told from one that was refused",
        "management/commands/enqueue_task.py",
        '{error.task_id}.", returncode=IN_DOUBT)',
        '{error.task_id}.")',
        f"{CALLS} -k in_doubt",
    ),
    mutant(
        "a task cannot catch what ends it at its timeout",
        "management/running.py",
        "class Overran(BaseException):",
        "class Overran(Exception):",
        f"{CALLS} -k cannot_catch",
    ),
    mutant(
        "a task may raise what is no Exception",
        "management/commands/run_task.py",
        "except BaseException as error:",
        "except Exception as error:",
        f"{CALLS} -k whatever_a_task_raises",
    ),
    mutant(
        "what cannot be written is told once",
        "management/output.py",
        "            _drop_unwritten()\n",
        "            pass\n",
        f"{PRINTING} -k full_disk",
    ),
]
