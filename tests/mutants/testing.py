"""The helpers for tests: nothing leaves the process, and a test's database stays the test's."""

from tests.mutants import Mutant

OUTBOX = "tests/unit/testing/test_outbox.py"
PUSH_CLIENT = "tests/unit/testing/test_push_client.py"
THREADS = "tests/unit/testing/test_threads.py"
STRANGERS = "tests/integration/testing/test_strangers.py -k 'postgresql and auto'"


def publishers(guard, old, tests):
    return Mutant(
        guard=guard,
        file="asgi_tasks/publishers/__init__.py",
        old=f"{old}    if _carriers:\n        return",
        new=f"{old}    if False:\n        return",
        tests=tests,
    )


def threads(guard, old, new, tests):
    return Mutant(guard=guard, file="asgi_tasks/testing/threads.py", old=old, new=new, tests=tests)


MUTANTS = [
    publishers(
        "what a coroutine enqueues in a test goes into the outbox",
        '    Raise PublishError.\n    """\n',
        f"{OUTBOX} -k in_its_order",
    ),
    publishers(
        "what sync code enqueues in a test starts no thread",
        'no event loop."""\n',
        "tests/unit/testing/test_capturing.py -k handed_over",
    ),
    Mutant(
        guard="after a test nothing trusts its tokens",
        file="asgi_tasks/testing/pushing.py",
        old="                del dispatch.verifiers[options]  #",
        new="                pass  #",
        tests=f"{PUSH_CLIENT} -k afterwards",
    ),
    Mutant(
        guard="a failed task comes again with the next call",
        file="asgi_tasks/testing/outbox.py",
        old="            self._waiting.extendleft(reversed(again))\n",
        new="            pass\n",
        tests=f"{OUTBOX} -k next_call",
    ),
    Mutant(
        guard="a test's own settings are undone after those of the outbox",
        file="asgi_tasks/testing/plugin.py",
        old='    if plugins.hasplugin("django") or plugins.hasplugin("pytest_django.plugin"):\n',
        new="    if not plugins:\n",
        tests="tests/integration/testing/test_plugin.py -k any_order",
    ),
    Mutant(
        guard="a task in a test does not end the test's transaction",
        file="asgi_tasks/lanes.py",
        old="    if blocks:\n",
        new="    if False:\n",
        tests=f"{THREADS} -k block",
    ),
    threads(
        "a test's transaction can be used after an error in the database",
        "        connection.savepoint_rollback(sid)\n",
        "        pass\n",
        f"{THREADS} -k usable",
    ),
    threads(
        "what a task leaves to on_commit is run",
        "            _run_callbacks(savepoint.connection, savepoint.callbacks)\n",
        "            pass\n",
        f"{THREADS} -k callback",
    ),
    threads(
        "a coroutine test and its tasks work in the test's transaction",
        "    theirs = thread.submit(_exchange, ours).result()\n",
        "    ours, theirs = [], thread.submit(_exchange, []).result()\n",
        STRANGERS,
    ),
    threads(
        "the connections of asgiref's thread do not outlive a coroutine test",
        "    connections.close_all()\n",
        "",
        STRANGERS,
    ),
    threads(
        "Django's handler does not close the test's connections",
        "    ended = [s for s in (request_started, request_finished) "
        "if s.disconnect(close_old_connections)]\n",
        "    ended = []\n",
        STRANGERS,
    ),
    Mutant(
        guard="tasks run where the test's own sync code does",
        file="asgi_tasks/testing/pushing.py",
        old="    thread = lanes.replacement.set(TestThread())\n",
        new="    thread = lanes.replacement.set(None)\n",
        tests=STRANGERS,
    ),
]
