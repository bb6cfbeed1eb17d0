"""What stands between an enqueue and a task that is lost, doubled, or waited for in vain."""

from tests.mutants import Mutant

UNIT = "tests/unit/test_publishers.py"
BACKENDS = "tests/unit/test_backends.py"
FAULTS = "tests/reliability/test_enqueue_faults.py"
PROCESSES = "tests/reliability/test_enqueue_processes.py"


def _mutant(file, guard, old, new, tests, word):
    return Mutant(guard=guard, file=file, old=old, new=new, tests=f"{tests} -k '{word}'")


def publisher(guard, old, new, tests, word):
    return _mutant("asgi_tasks/publishers/publisher.py", guard, old, new, tests, word)


def pending(guard, old, new, tests, word):
    return _mutant("asgi_tasks/publishers/pending.py", guard, old, new, tests, word)


def failures(guard, old, new, tests, word):
    return _mutant("asgi_tasks/publishers/failures.py", guard, old, new, tests, word)


def background(guard, old, new, tests, word):
    return _mutant("asgi_tasks/publishers/background.py", guard, old, new, tests, word)


def entrance(guard, old, new, tests, word):
    return _mutant("asgi_tasks/publishers/__init__.py", guard, old, new, tests, word)


def backend(guard, old, new, tests, word):
    return _mutant("asgi_tasks/backends.py", guard, old, new, tests, word)


JOINED = [
    publisher(
        "what one turn of the loop publishes is joined",
        "self._loop.call_soon(self._start, context=Context())",
        "self._start()",
        UNIT,
        "500_messages_at_once",
    ),
    publisher(
        "a connection is not of the task that opens it",
        "self._loop.call_soon(self._start, context=Context())",
        "self._loop.call_soon(self._start)",
        UNIT,
        "task_that_opened",
    ),
    publisher(
        "a topic has one request at a time",
        "        if not self.requests:\n",
        "        if True:\n",
        UNIT,
        "joins_the_next",
    ),
    publisher(
        "what fills a request does not wait",
        "len(self.waiting) >= MAX_BATCH_MESSAGES or ",
        "",
        UNIT,
        "fills_a_request",
    ),
    publisher(
        "a slow request is not waited for",
        " or time.monotonic() > self.began + SLOW",
        "",
        UNIT,
        "is_slow",
    ),
    publisher(
        "four requests for a topic are under way at the most",
        " or self.requests >= MAX_TOPIC_REQUESTS:",
        ":",
        UNIT,
        "is_slow",
    ),
    publisher(
        "the requests of all topics are bounded",
        " and len(self._sending) < MAX_REQUESTS",
        "",
        UNIT,
        "all_topics_together",
    ),
    publisher(
        "a finished request makes room for the next",
        "        topic.requests -= 1\n",
        "",
        UNIT,
        "joins_the_next",
    ),
    publisher(
        "what waited for a request is sent after it",
        "            self._start_soon(topic)\n",
        "            pass\n",
        UNIT,
        "joins_the_next",
    ),
    publisher(
        "a request holds 1,000 messages at the most",
        "while waiting and len(batch) < MAX_BATCH_MESSAGES:",
        "while waiting:",
        UNIT,
        "more_than_1000",
    ),
    publisher(
        "a request holds ten megabytes at the most", "room -= size", "pass", UNIT, "ten_megabytes"
    ),
    pending(
        "base64 counts",
        "(len(self.data) + 2) // 3 * 4",
        "len(self.data)",
        UNIT,
        "ten_megabytes and data",
    ),
    pending("attributes count", " + len(texts)", "", UNIT, "ten_megabytes and attributes"),
    pending(
        "what JSON escapes counts as it is sent",
        'encode_basestring_ascii("".join((*self.attributes, *self.attributes.values())))',
        '"".join((*self.attributes, *self.attributes.values()))',
        UNIT,
        "ten_megabytes and escaped",
    ),
    publisher(
        "a message larger than a batch goes alone",
        "if batch and size > room:",
        "if size > room:",
        UNIT,
        "larger_than_a_batch",
    ),
    publisher(
        "a caller who left is not sent for",
        "while batch := still_waited_for(batch):",
        "while batch:",
        UNIT,
        "cancelled_before_the_request",
    ),
    pending(
        "a caller who left does not fail the others' confirmation",
        "        if not self.confirmed.done():\n            self.confirmed.set_result",
        "        if True:\n            self.confirmed.set_result",
        UNIT,
        "cancelled_during_the_request",
    ),
    publisher(
        "a large body goes as a file",
        "data if len(data) < LARGE_BODY else io.BytesIO(data)",
        "data",
        UNIT,
        "ten_megabytes and data",
    ),
    background(
        "what is handed over is published once",
        "handed, self._handed = self._handed, []",
        "handed = list(self._handed)",
        UNIT,
        "32_threads",
    ),
]

DIVIDED = [
    publisher(
        "a message that is refused fails alone",
        "if len(batch) > 1 and failure.may_be_of_one:",
        "if False:",
        UNIT,
        "fails_alone",
    ),
    publisher(
        "both halves of a refused request are sent",
        "return [batch[middle:], batch[:middle]]",
        "return [batch[middle:]]",
        UNIT,
        "fails_alone",
    ),
    publisher(
        "few requests find a message that is refused",
        "middle = len(batch) // 2",
        "middle = 1",
        UNIT,
        "fails_alone",
    ),
    failures(
        "what concerns all is not tried in parts",
        "_OF_ALL = (401, 403, 404)",
        "_OF_ALL = ()",
        UNIT,
        "concerns_all",
    ),
    failures(
        "a refused token concerns all",
        "is_final and not stage and status",
        "is_final and status",
        UNIT,
        "token_that_is_refused",
    ),
]

BUDGETS = [
    pending(
        "the budget of each message is kept",
        "        seconds = first.deadline - time.monotonic()\n",
        "        seconds = first.budget + 20\n",
        UNIT,
        "each_budget",
    ),
    pending(
        "a budget does not end with another message's",
        "            if first.deadline > now:\n",
        "            if False:\n",
        UNIT,
        "ends_with_its_own_budget",
    ),
    pending(
        "who comes later has a timer too",
        "                self._start_timer(first)\n                return\n",
        "                return\n",
        UNIT,
        "ends_with_its_own_budget",
    ),
    publisher(
        "a request that hangs leaves time for another",
        "seconds = max(seconds_left(batch) / 2, SHORTEST)",
        "seconds = max(seconds_left(batch), SHORTEST)",
        UNIT,
        "transient_fault and hold",
    ),
    publisher(
        "a request that hangs is given up",
        "total=seconds, connect",
        "connect",
        UNIT,
        "transient_fault and hold",
    ),
    publisher(
        "a connection that does not come about leaves time to say so",
        "total=seconds, connect=seconds / 2",
        "total=seconds",
        FAULTS,
        "names_the_fault and timeout",
    ),
    publisher(
        "pauses get shorter towards the end of the budget",
        "min(next(pauses), max(left / 2, SHORTEST))",
        "next(pauses)",
        UNIT,
        "shortly_before_the_end",
    ),
    entrance(
        "a blocked loop holds no thread beyond its budget",
        "budget + GRACE)",
        "budget + 10**6)",
        UNIT,
        "blocked_loop",
    ),
    background(
        "a blocked loop is told as such",
        "except TimeoutError as error:",
        "except ZeroDivisionError as error:",
        UNIT,
        "blocked_loop",
    ),
]

VERDICTS = [
    publisher(
        "what was sent may have been published",
        "        pending.maybe_published = True\n",
        "        pass\n",
        FAULTS,
        "leaves_it_in_doubt and keeps",
    ),
    publisher(
        "what was in doubt stays in doubt",
        "pending.maybe_published = was_uncertain or failure.is_uncertain",
        "pending.maybe_published = failure.is_uncertain",
        UNIT,
        "refusal_after_a_lost_answer",
    ),
    publisher(
        "the broker gives as many ids as it got messages",
        "if len(ids) != len(batch):",
        "if False:",
        UNIT,
        "transient_fault and says",
    ),
    publisher(
        "garbage is no refusal, though aiohttp calls it 400",
        "with contextlib.suppress(ClientResponseError):",
        "with contextlib.nullcontext():",
        FAULTS,
        "leaves_it_in_doubt and garbage",
    ),
    publisher(
        "a redirection is not followed",
        "allow_redirects=False",
        "allow_redirects=True",
        FAULTS,
        "leaves_it_in_doubt and redirects",
    ),
    publisher(
        "a final failure is told at once",
        "                return _refuse(batch, failure)\n",
        "                pass\n",
        FAULTS,
        "is_a_refusal and 404",
    ),
    failures(
        "a 4xx is final",
        "is_final = 400 <= status < 500 and",
        "is_final = False and 400 <= status < 500 and",
        UNIT,
        "refusal_is_final and 403",
    ),
    failures(
        "a 5xx is tried again",
        "is_final = 400 <= status < 500 and",
        "is_final = 400 <= status and",
        UNIT,
        "transient_fault and 503",
    ),
    failures(
        "a 5xx is no refusal",
        "is_refusal = is_final or status == 429",
        "is_refusal = True",
        UNIT,
        "leaves_it_in_doubt and 503",
    ),
    failures("a 429 is tried again", " and status != 429", "", UNIT, "transient_fault and 429"),
    failures(
        "a 429 is a refusal",
        "is_refusal = is_final or status == 429",
        "is_refusal = is_final",
        UNIT,
        "before_the_broker_took_it",
    ),
    failures(
        "a 408, 409 or 499 is tried again",
        "_RETRIED = (408, 409, 499)",
        "_RETRIED = ()",
        UNIT,
        "transient_fault and (408 or 409 or 499)",
    ),
    failures(
        "a garbled answer is tried again",
        "is_transient = sent and isinstance(error, ValueError)",
        "is_transient = False",
        UNIT,
        "transient_fault and says",
    ),
    failures(
        "what is no answer to us is in doubt",
        "return Failure(stage + reason, error, is_transient, is_uncertain=sent)",
        "return Failure(stage + reason, error, is_transient, is_uncertain=False)",
        UNIT,
        "leaves_it_in_doubt and reset",
    ),
    failures(
        "a host that is none is not tried again",
        "        case InvalidURL():\n            is_transient = False\n",
        "",
        FAULTS,
        "is_a_refusal and port",
    ),
    failures(
        "a token that is not JSON is asked for again",
        " | json.JSONDecodeError()",
        "",
        FAULTS,
        "comes_late and JSON",
    ),
]

CREDENTIALS = [
    publisher(
        "a token is told apart from a publish",
        'if not os.environ.get("PUBSUB_EMULATOR_HOST"):',
        "if False:",
        FAULTS,
        "names_the_fault and 400",
    ),
    publisher(
        "a token is asked for once an attempt",
        "        self._token.acquire_access_token = fetch  # type: ignore[assignment]\n",
        "",
        FAULTS,
        "is_a_refusal and token and 401",
    ),
    publisher(
        "a token that hangs is asked for again",
        "TOKEN_TIMEOUT = 3",
        "TOKEN_TIMEOUT = 30",
        FAULTS,
        "comes_late and hangs",
    ),
    publisher(
        "a token given up by one topic serves the others",
        "            raise NoToken from TimeoutError()\n",
        "            fetching.cancel()\n            raise NoToken from TimeoutError()\n",
        UNIT,
        "token_given_up",
    ),
    publisher(
        "a token that nobody waits for any more fails in silence",
        "        fetching.add_done_callback(lambda task: task.cancelled() or task.exception())\n",
        "",
        FAULTS,
        "is_a_refusal and token and hangs",
    ),
    publisher(
        "the token's own session is closed with the loop",
        "            await self._token.close()\n",
        "",
        FAULTS,
        "is_a_refusal and token and 401",
    ),
    publisher(
        "credentials that cannot be read are a refusal",
        "raise PublishError(reason, maybe_published=False) from error",
        "raise",
        UNIT,
        "credentials_that_cannot",
    ),
]

DISCRETION = [
    failures(
        "an error does not hold the request's headers",
        "CIMultiDictProxy(CIMultiDict())",
        "CIMultiDictProxy(CIMultiDict(asked.headers))",
        PROCESSES,
        "shows_no_token and 403",
    ),
    failures(
        "an error holds neither the answer's body nor the token",
        "error = _without_secrets(error, reason)",
        "pass",
        FAULTS,
        "is_a_refusal and quotes",
    ),
    failures(
        "the answer to a bad request is not shown",
        "if stage or status != 400 else str(status)",
        "",
        FAULTS,
        "is_a_refusal and quotes",
    ),
    failures(
        "an error is one line",
        'letter if letter.isprintable() else " "',
        "letter",
        FAULTS,
        "is_a_refusal and babbles",
    ),
    failures("an error is a short line", "text[:200]", "text", FAULTS, "is_a_refusal and babbles"),
    failures(
        "a page that is not JSON is no error of ours",
        "contextlib.suppress(ValueError, RecursionError)",
        "contextlib.suppress(RecursionError)",
        FAULTS,
        "is_a_refusal and quotes",
    ),
    failures(
        "a page nested too deep is no error of ours",
        "contextlib.suppress(ValueError, RecursionError)",
        "contextlib.suppress(ValueError)",
        FAULTS,
        "is_a_refusal and deep",
    ),
    failures(
        "an error says what to do about it",
        '": ".join(filter(None, (reason, advice.get(status))))',
        "reason",
        FAULTS,
        "names_the_fault and 404",
    ),
]

LOOPS = [
    publisher(
        "the client is closed with its loop",
        "    await publisher.close_with_loop()\n",
        "",
        UNIT,
        "ends_with_it",
    ),
    publisher(
        "the session is closed with its loop",
        "            await self._session.close()\n",
        "",
        UNIT,
        "ends_with_it",
    ),
    publisher(
        "a closed client is not used again",
        "            publishers.pop(self._loop, None)\n",
        "",
        UNIT,
        "generators_are_shut_down",
    ),
    publisher(
        "a closed loop is forgotten",
        "        if other.is_closed():\n            publishers.pop(other, None)\n",
        "        pass\n",
        UNIT,
        "closed_in_a_hurry",
    ),
    publisher(
        "loops of other threads may begin to publish meanwhile",
        "for other in list(publishers):",
        "for other in publishers:",
        UNIT,
        "another_one_looks",
    ),
    background(
        "threads share one loop",
        "            if self._running is None:\n                self._running = _Loop()\n",
        "            self._running = _Loop()\n",
        UNIT,
        "32_threads",
    ),
    background(
        "threads start the loop one after the other",
        '    def _get_loop(self) -> "_Loop":\n        with self._starting:\n',
        '    def _get_loop(self) -> "_Loop":\n        if True:\n',
        UNIT,
        "begin_at_once",
    ),
    background(
        "a loop that ends publishes nothing more",
        "        if self._loop is not None:  # else",
        "        if True:  # else",
        UNIT,
        "comes_while_the_loop_ends",
    ),
    background(
        "a loop that does not start is told",
        "                pending.fail(STOPPED)\n            ready.set()\n",
        "                pending.fail(STOPPED)\n",
        PROCESSES,
        "without_a_loop",
    ),
    background(
        "no thread and no loop is a refusal",
        "except RuntimeError as error:",
        "except ZeroDivisionError as error:",
        PROCESSES,
        "without_a_loop",
    ),
]

ENDS = [
    entrance(
        "a forked child starts a loop of its own",
        "os.register_at_fork(after_in_child=_start_anew)\n",
        "",
        PROCESSES,
        "forked and send-send",
    ),
    entrance(
        "whoever waits at the exit is told",
        "atexit.register(stop)\n",
        "",
        PROCESSES,
        "daemon_thread_that_waits",
    ),
    publisher(
        "whoever waits when it is stopped is in doubt",
        '            pending.fail(STOPPED if task.cancelled() else "")\n',
        "            pass\n",
        UNIT,
        "tasks_were_cancelled",
    ),
    publisher(
        "what is not sent when it is stopped is refused",
        "                    pending.fail(STOPPED)\n",
        "                    pass\n",
        UNIT,
        "stop_refuses",
    ),
    background(
        "the background thread does not hold up the exit",
        "daemon=True",
        "daemon=False",
        UNIT,
        "ends_in_silence",
    ),
    background(
        "stop waits for the loop to close its client",
        "        self._thread.join(timeout=2)\n",
        "",
        UNIT,
        "left_after_stop",
    ),
    background(
        "the publisher starts again after a stop",
        "                self._running = None\n",
        "",
        UNIT,
        "again_after_stop",
    ),
]

BACKEND = [
    backend(
        "doubt and refusal are two errors",
        "    if error.maybe_published:\n",
        "    if False:\n",
        BACKENDS,
        "not_confirmed_in_time",
    ),
    backend(
        "an error in doubt names the task",
        "task_id=publication.result.id,",
        'task_id="",',
        BACKENDS,
        "not_confirmed_in_time",
    ),
    backend(
        "a refusal says what to do",
        '        "Nothing will run: mend the cause and enqueue it again."\n',
        "",
        FAULTS,
        "is_a_refusal and 404",
    ),
    backend(
        "arguments are bound before they are sent",
        "            route.bind(message.args, message.kwargs)\n",
        "",
        BACKENDS,
        "before_anything_is_sent",
    ),
    backend(
        "a task is validated again when it is enqueued",
        "        self.validate_task(task)\n",
        "",
        BACKENDS,
        "validated_again",
    ),
    backend(
        "enqueue does not block a running loop",
        '    @async_unsafe("enqueue() would block the event loop. Use aenqueue(): '
        'await task.aenqueue(...).")\n',
        "",
        BACKENDS,
        "names_aenqueue",
    ),
    backend(
        "a receiver that raises fails no sync enqueue",
        "signals.send(task_enqueued, type(self), lambda: publication.result)",
        "task_enqueued.send(sender=type(self), task_result=publication.result)",
        BACKENDS,
        "receiver_that_raises",
    ),
    backend(
        "the signal follows the publish",
        "        await signals.asend(task_enqueued, type(self), lambda: publication.result)\n",
        "",
        BACKENDS,
        "after_the_publish",
    ),
]

MUTANTS = [
    *JOINED,
    *DIVIDED,
    *BUDGETS,
    *VERDICTS,
    *CREDENTIALS,
    *DISCRETION,
    *LOOPS,
    *ENDS,
    *BACKEND,
]
