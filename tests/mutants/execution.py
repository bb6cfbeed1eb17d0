from tests.mutants import Mutant

ATTEMPTS, EXECUTION, WATCHDOG = (
    f"asgi_tasks/{name}.py" for name in ("attempts", "execution", "watchdog")
)
TESTS = "tests/unit/test_execution.py"

MUTANTS = [
    Mutant(
        guard="a database out of reach is told from a query that failed",
        file=ATTEMPTS,
        old="frame.f_code is _CONNECT for",
        new="True for",
        tests=f"{TESTS} -k query_is_a_failure",
    ),
    Mutant(
        guard="a database out of reach is unavailable",
        file=ATTEMPTS,
        old="Outcome.NO_DATABASE if is_connecting else",
        new="Outcome.FAILED if is_connecting else",
        tests=f"{TESTS} -k out_of_reach",
    ),
    Mutant(
        guard="an overrun is not discarded",
        file=ATTEMPTS,
        old="if timed_out and not isinstance(error, Discard):",
        new="if timed_out and not self._delivery.route.discards(error):",
        tests=f"{TESTS} -k overrun",
    ),
    Mutant(
        guard="a run goes on for the second who waits",
        file=EXECUTION,
        old="if not self._waiting and not self._task.done():",
        new="if not self._task.done():",
        tests=f"{TESTS} -k waiter_leaves",
    ),
    Mutant(
        guard="a run is cancelled when the last who waits has left",
        file=EXECUTION,
        old="    def _leave(self) -> None:\n        self._task.cancel()",
        new="    def _leave(self) -> None:\n        pass",
        tests=f"{TESTS} -k last_waiter",
    ),
    Mutant(
        guard="the same id in two loops are two runs",
        file=EXECUTION,
        old="key = (asyncio.get_running_loop(), delivery",
        new="key = (None, delivery",
        tests=f"{TESTS} -k loops",
    ),
    Mutant(
        guard="the same id of two tasks are two runs",
        file=EXECUTION,
        old="delivery.route.name, delivery.message.task_id)",
        new="'', delivery.message.task_id)",
        tests=f"{TESTS} -k two_tasks",
    ),
    Mutant(
        guard="a thread that outlived its push answers the redelivery",
        file=EXECUTION,
        old="task.get_loop().call_later(REMEMBERED, self._forget)",
        new="self._forget()",
        tests=f"{TESTS} -k push_left",
    ),
    Mutant(
        guard="a failure nobody was told of is run again",
        file=EXECUTION,
        old="        if outcome.is_acknowledged:",
        new="        if True:",
        tests=f"{TESTS} -k nobody_was_told",
    ),
    Mutant(
        guard="a sync task nobody waits for never starts",
        file=EXECUTION,
        old="if not self._decide():\n            return Report",
        new="if False:\n            return Report",
        tests=f"{TESTS} -k 'never'",
    ),
    Mutant(
        guard="a coroutine that does not end when cancelled is answered for",
        file=EXECUTION,
        old="        return delivery.deadline + GRACE",
        new="        return delivery.deadline + 1000",
        tests=f"{TESTS} -k cannot_be_cancelled",
    ),
    Mutant(
        guard="a blocked loop is warned about",
        file=WATCHDOG,
        old="elif stood > PATIENCE and not self._warned",
        new="elif False and not self._warned",
        tests="tests/unit/test_watchdog.py",
    ),
    Mutant(
        guard="a loop that ended is not warned about",
        file=WATCHDOG,
        old="if not self._loop.is_running():",
        new="if False:",
        tests="tests/unit/test_watchdog.py",
    ),
]
