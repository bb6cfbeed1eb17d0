"""The lanes: who gets one, in which state, and what becomes of its connections."""

from tests.mutants import Mutant

TESTS = "tests/unit/test_lanes.py"


def lanes(guard, old, new, tests):
    return Mutant(
        guard=guard,
        file="asgi_tasks/lanes.py",
        old=old,
        new=new,
        tests=f"{TESTS} -k '{tests}'",
    )


MUTANTS = [
    # Who gets a lane
    lanes(
        "a borrower has one lane at a time",
        "            if borrower.is_admitted:\n                return\n",
        "",
        "although_a_lane_is_free",
    ),
    lanes(
        "a borrower with many calls goes to the end of the queue after each",
        "            if borrower.is_admitted:\n                self._waiting.append(borrower)",
        "            if borrower.is_admitted:\n                self._waiting.appendleft(borrower)",
        "takes_turns",
    ),
    lanes(
        "first come first served",
        "return self._waiting.popleft()",
        "return self._waiting.pop()",
        "in_the_order_they_came",
    ),
    lanes(
        "a borrower comes back to its lane",
        "next((lane for lane in self._free if lane in borrower.visited), self._free[-1])",
        "self._free[0]",
        "comes_back_to_the_lane",
    ),
    lanes(
        "a cancelled call never runs",
        "if not future.set_running_or_notify_cancel():",
        "if not future.set_running_or_notify_cancel() and False:",
        "cancelled_call_never_runs",
    ),
    lanes(
        "the frame of a call does not hold its error",
        "            del future  # it holds",
        "            pass  # it holds",
        "garbage_collector",
    ),
    lanes(
        "a run that has called lets go of its lanes",
        "        if self.has_called:\n            self._lanes.release(self)",
        "        if False:\n            self._lanes.release(self)",
        "last_user",
    ),
    lanes(
        "a call that comes after the release keeps no connection",
        "        self.is_released = True\n        if",
        "        self.is_released = self.has_called\n        if",
        "comes_after_the_release",
    ),
    lanes(
        "a forked child has lanes of its own",
        "os.register_at_fork(after_in_child=_make_lanes.cache_clear)",
        "",
        "forked",
    ),
    Mutant(
        guard="a task that stays on the loop takes no lane",
        file="asgi_tasks/lanes.py",
        old="        self._lanes = lanes\n\n    def __enter__",
        new="        self._lanes = lanes\n        self.submit(int)\n\n    def __enter__",
        tests="tests/reliability/test_cold_start.py -k take_no_lane",
    ),
    Mutant(
        guard="a server that is ready has loaded no client",
        file="asgi_tasks/apps.py",
        old="from typing import Any\n",
        new="from typing import Any\n\nimport aiohttp\n",
        tests="tests/reliability/test_cold_start.py -k no_more",
    ),
    # How long a connection is kept
    lanes(
        "a lane nobody uses closes what Django would close",
        "            _renew_connections()\n            lane.is_tidy = True",
        "            lane.is_tidy = True",
        "last_user",
    ),
    lanes(
        "a lane is woken to close its connections",
        "                if lane in self._free and not lane.users:",
        "                if False:",
        "last_user",
    ),
    lanes(
        "a connection is kept while somebody may come back to it",
        "if lane.users or lane.is_tidy:",
        "if lane.is_tidy:",
        "one_user_is_left",
    ),
    lanes(
        "a connection is not closed under those who share it",
        "_renew_connections(is_shared=bool(lane.users))",
        "_renew_connections()",
        "other_runs_come_and_go",
    ),
    lanes(
        "a run that is over keeps no connection",
        "if not borrower.is_released:",
        "if True:",
        "cancelled_in_the_queue",
    ),
    lanes(
        "the health of a shared connection is checked for each run",
        "connection.health_check_done = False",
        "connection.health_check_done",
        "health",
    ),
    lanes(
        "a lane lives on when a connection cannot be closed",
        "        except Exception:  # the lane has to live on",
        "        except KeyError:  # the lane has to live on",
        "cannot_be_closed",
    ),
    # In which state it is left
    lanes(
        "a call that leaves a transaction open has failed",
        "    if aliases := _mend_connections(blocks):",
        "    if aliases := _mend_connections(blocks)[:0]:",
        "leaves_a_transaction_open",
    ),
    lanes(
        "what a failed call left is mended too",
        "    except BaseException:\n        _mend_connections(blocks)\n        raise",
        "    except BaseException:\n        raise",
        "its_own",
    ),
    lanes(
        "a transaction left open is rolled back",
        "            _roll_back(connection)\n",
        "            pass\n",
        "leaves_a_transaction_open",
    ),
    lanes(
        "an atomic block left open is noticed",
        "    if connection.in_atomic_block:\n        return True",
        "    if False:\n        return True",
        "as_a_pool_does",
    ),
    lanes(
        "an atomic block left open is ended",
        "    connection.in_atomic_block = False  #",
        "    pass  #",
        "enter_atomic",
    ),
    lanes(
        "autocommit turned off is noticed",
        "return not connection.autocommit or _is",
        "return _is",
        "turn_autocommit_off",
    ),
    lanes(
        "autocommit is turned on again",
        "    connection.set_autocommit(True)",
        "    pass",
        "turn_autocommit_off",
    ),
    lanes(
        "a BEGIN of the task's own is noticed",
        'return getattr(driver, "in_transaction", False)',
        "return False",
        "begin",
    ),
    lanes(
        "a site without autocommit has its own transactions",
        'if connection.connection is None or not connection.settings_dict["AUTOCOMMIT"]:',
        "if connection.connection is None:",
        "by_the_settings",
    ),
    lanes(
        "a broken connection is closed",
        "        if _is_broken(connection):\n            connection.close()\n",
        "",
        "broken_connection",
    ),
    lanes(
        "a connection with an error is not taken for broken",
        "connection.errors_occurred = not connection.is_usable()",
        "connection.is_usable()",
        "after_another_run_had_an_error or not_asked_again",
    ),
    lanes(
        "a connection past mending is dropped",
        "        del connections[connection.alias]\n",
        "",
        "close_in_atomic",
    ),
    Mutant(
        guard="a sync task that leaves a transaction open has failed",
        file="asgi_tasks/execution.py",
        old="value = run_tidily(attempt.call)",
        new="value = attempt.call()",
        tests="tests/unit/test_execution.py -k leaves_a_transaction_open",
    ),
    # PostgreSQL alone
    Mutant(
        guard="a BEGIN of the task's own is noticed on PostgreSQL",
        file="asgi_tasks/lanes.py",
        old='return getattr(info, "transaction_status", None) in (INTRANS, INERROR)',
        new="return False",
        tests="tests/reliability/test_connections.py -k 'not_acknowledged'",
    ),
    Mutant(
        guard="a transaction that failed is noticed on PostgreSQL",
        file="asgi_tasks/lanes.py",
        old="in (INTRANS, INERROR)",
        new="in (INTRANS,)",
        tests="tests/reliability/test_connections.py -k 'ends_with_the_call and break_transaction'",
    ),
    Mutant(
        guard="a run within async_to_sync calls in its own lanes",
        file="asgi_tasks/lanes.py",
        old="AsyncToSync.executors.current = None",
        new="pass",
        tests="tests/unit/test_lanes.py -k within_a_bridge",
    ),
    Mutant(
        guard="an asyncio task that outlives its run gets no lane",
        file="asgi_tasks/lanes.py",
        old="        if borrower.is_released:\n            raise RuntimeError(",
        new="        if False:\n            raise RuntimeError(",
        tests="tests/unit/test_lanes.py -k outlives_its_run",
    ),
]
