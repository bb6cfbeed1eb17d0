from tests.mutants import Mutant

CHANNEL, SERVER, COMMAND = (
    f"asgi_tasks/server/{name}.py" for name in ("channel", "server", "__main__")
)
LIMITS = "tests/reliability/test_server_limits.py"
DRAIN = "tests/reliability/test_drain.py"
CONTRACT = "tests/unit/test_server_contract.py"


def channel(guard, old, new, test):
    return Mutant(guard=guard, file=CHANNEL, old=old, new=new, tests=f"{LIMITS} -k {test}")


def drain(guard, old, new, test):
    return Mutant(guard=guard, file=SERVER, old=old, new=new, tests=f"{DRAIN} -k {test}")


def command(guard, old, new, test):
    return Mutant(guard=guard, file=COMMAND, old=old, new=new, tests=f"{CONTRACT} -k {test}")


MUTANTS = [
    channel(
        "a body that says it is too large is refused at once",
        "if self.length is not None and self.length > self._limits.size:",
        "if False:",
        "says_it_is_too_large",
    ),
    channel(
        "a body that grows too large is refused",
        "if self._received > self._limits.size:",
        "if False:",
        "grows_too_large",
    ),
    channel(
        "a head has a deadline",
        "self._deadline, self._quiet_since = time.monotonic() + HEAD_TIMEOUT, None",
        "self._quiet_since = None",
        "slow_clients",
    ),
    channel(
        "a body has a deadline",
        "self._deadline = time.monotonic() + self._limits.seconds",
        "self._deadline = None",
        "slow_clients",
    ),
    channel(
        "the clock stops when the request is whole",
        "            self._deadline = None\n",
        "",
        "slow_clients",
    ),
    channel(
        "a refused client is hung up on",
        "self.transport.abortConnection()",
        "pass",
        "grows_too_large",
    ),
    channel(
        "a refused client is not heard again",
        "        if self._is_closing:\n            return\n        is_first",
        "        is_first",
        "not_heard_again",
    ),
    channel(
        "a refused request is not run when its end has come with it",
        "        if not self._is_closing:\n            self._deadline = None",
        "        if True:\n            self._deadline = None",
        "grows_too_large",
    ),
    channel(
        "what a refused request sent is dropped",
        "request.content.close()",
        "pass",
        "dropped_at_once",
    ),
    channel(
        "what no socket takes at once is written later",
        "if transport.doWrite() or transport.dataBuffer:",
        "if transport.doWrite():",
        "arrives_whole",
    ),
    Mutant(
        guard="a head under way is not quiet",
        file=CHANNEL,
        old="self._deadline, self._quiet_since = time.monotonic() + HEAD_TIMEOUT, None",
        new="self._deadline = time.monotonic() + HEAD_TIMEOUT",
        tests=f"{CONTRACT} -k long_silence",
    ),
    Mutant(
        guard="a request that came with another is not quiet",
        file=CHANNEL,
        old="        self._quiet_since = None  # also where",
        new="        # also where",
        tests=f"{CONTRACT} -k came_with_another",
    ),
    Mutant(
        guard="what was not sent goes with its connection",
        file=CHANNEL,
        old="self._transport = ref(transport)",
        new="self._transport = lambda: transport",
        tests=f"{CONTRACT} -k goes_with_its_connection",
    ),
    Mutant(
        guard="a connection that cannot be written to ends",
        file=CHANNEL,
        old="            transport.abortConnection()\n\n\nclass Request",
        new="\n\nclass Request",
        tests=f"{CONTRACT} -k cannot_be_written_to",
    ),
    Mutant(
        guard="a connection is quiet again after each request",
        file=CHANNEL,
        old="            self._quiet_since = time.monotonic()\n        else:",
        new="            pass\n        else:",
        tests=f"{CONTRACT} -k quiet",
    ),
    Mutant(
        guard="a quiet connection is cut off if it does not end",
        file=CHANNEL,
        old="            self._deadline = now + UNREAD\n            self.loseConnection()",
        new="            self.loseConnection()",
        tests=f"{CONTRACT} -k quiet",
    ),
    channel(
        "a connection that was told to end does so",
        "if transport.doWrite() or transport.dataBuffer:",
        "if not transport.doWrite() and transport.dataBuffer:",
        "bad_chunk",
    ),
    channel(
        "large bodies together are bounded",
        "self.refuse(HTTPStatus.SERVICE_UNAVAILABLE)",
        "pass",
        "large_bodies_together",
    ),
    channel(
        "small bodies do not count",
        "elif self._received > SMALL_BODY:",
        "else:",
        "small_bodies",
    ),
    channel(
        "an answered request gives back what its body held",
        "        self._release()\n        if self.persistent:",
        "        self._received = 0\n        if self.persistent:",
        "large_bodies_together",
    ),
    channel(
        "a request that was given up gives back what its body held",
        "self.factory.server.forget(self)\n        self._release()\n        super().connectionLost",
        "self.factory.server.forget(self)\n        super().connectionLost",
        "large_bodies_together",
    ),
    channel(
        "a refused request gives back what its body held",
        "        self._release()\n        for request in self.requests:",
        "        for request in self.requests:",
        "large_bodies_together",
    ),
    channel(
        "Daphne-Root-Path is taken away from clients",
        'self.requestHeaders.removeHeader(b"daphne-root-path")',
        "pass",
        "cannot_move_the_site",
    ),
    channel(
        "a subprotocol that Daphne cannot read is refused",
        'if not b"".join(subprotocols).isascii():',
        "if False:",
        "subprotocol",
    ),
    channel(
        "a connection that became a WebSocket is forgotten",
        '"""It became a WebSocket, and hears no more of its connection."""\n'
        "        self.factory.server.forget(self)\n",
        '"""It became a WebSocket, and hears no more of its connection."""\n',
        "became_a_websocket",
    ),
    channel(
        "a connection that became a WebSocket gives back what its body held",
        "self.factory.server.forget(self)\n        self._release()\n\n    def refuse",
        "self.factory.server.forget(self)\n\n    def refuse",
        "large_bodies_together",
    ),
    channel(
        "an answer that fails midway is broken off",
        "        if self._response_started:",
        "        if False:",
        "fails_midway",
    ),
    channel(
        "Twisted does not parse forms",
        "parsePOSTFormSubmission=False",
        "parsePOSTFormSubmission=True",
        "no_view_reads",
    ),
    Mutant(
        guard="pushes have limits of their own",
        file=SERVER,
        old="self._limits_by_path.get(path, self._limits)",
        new="self._limits",
        tests=f"{LIMITS} -k exactly_the_limit",
    ),
    Mutant(
        guard="a burst of connections is queued",
        file=SERVER,
        old='return f"{endpoint}:backlog={BACKLOG}" if is_bare else endpoint',
        new="return endpoint",
        tests=f"{LIMITS} -k burst",
    ),
    Mutant(
        guard="requests are not logged unless asked for",
        file=SERVER,
        old="            self.action_logger = None",
        new="            pass",
        tests=f"{LIMITS} -k not_said",
    ),
    drain(
        "what runs has time to end",
        "            await self._wait_for_answers()\n",
        "",
        "ends_in_time",
    ),
    drain(
        "newcomers are answered 503",
        "        self.application = _unavailable\n",
        "",
        "newcomers",
    ),
    drain(
        "the port is closed",
        "            port.stopListening()",
        "            pass",
        "newcomers",
    ),
    drain(
        "connections whose request came before the signal are closed after it",
        "                channel.close_after(protocol)",
        "                pass",
        "newcomers",
    ),
    Mutant(
        guard="connections whose request comes after the signal are closed after it",
        file=CHANNEL,
        old="        if self.factory.server.is_draining:\n",
        new="        if False:\n",
        tests=f"{DRAIN} -k newcomers",
    ),
    drain(
        "WebSockets are told to go away",
        "protocol.sendCloseFrame(code=1001)",
        "pass",
        "websocket",
    ),
    drain(
        "only open WebSockets are: others cannot be",
        "if protocol.state == protocol.STATE_OPEN:",
        "if True:",
        "not_accepted_yet",
    ),
    drain(
        "what did not end is cancelled while it may still tidy up",
        "                    task.cancel()",
        "                    pass",
        "thousand_that_do_not_end",
    ),
    drain(
        "what was cancelled has time to tidy up",
        "            await _wait(_others(), CANCEL)\n",
        "",
        "is_cancelled_and_not_acknowledged",
    ),
    drain(
        "what did not answer is answered for",
        "                    await _answer(functools.partial(self.handle_reply, protocol))",
        "                    task.cancel()",
        "is_cancelled_and_not_acknowledged",
    ),
    drain(
        "what the loop has open is closed, the publisher too",
        "            await self._loop.shutdown_asyncgens()  # which close the publisher\n",
        "",
        "loop_has_open",
    ),
    drain(
        "answers are sent whole",
        "            await self._close_connections(ends)\n",
        "",
        "sent_whole",
    ),
    drain(
        "Daphne's own way to kill is not taken",
        '    def kill_all_applications(self) -> None:\n        """Nothing:',
        '    def kill_some(self) -> None:\n        """Nothing:',
        "newcomers",
    ),
    drain(
        "a stuck thread or loop does not keep the process",
        "        os._exit(0)",
        "        pass",
        "blocked_loop_does_not_keep_it",
    ),
    drain(
        "a second signal is not to be waited for",
        "            time.sleep(HURRIED)",
        "            time.sleep(EXIT)",
        "second_signal",
    ),
    drain(
        "a second signal is answered for, too",
        "            self._hurry.set()",
        "            pass",
        "second_signal",
    ),
    drain(
        "a signal is heard while the loop is blocked",
        "            signal.signal(number, self._on_signal)",
        "            self._loop.add_signal_handler(number, self._on_signal, number, None)",
        "blocked_loop_does_not_keep_it",
    ),
    drain(
        "Ctrl-C is a signal like the other",
        "SIGNALS = (signal.SIGTERM, signal.SIGINT)",
        "SIGNALS = (signal.SIGTERM,)",
        "ends_at_once",
    ),
    command(
        "a size has to be one",
        "if not (text.isascii() and text.isdigit() and int(text)):",
        "if not text.isdigit():",
        "impossible_limit",
    ),
    command(
        "a time has to be one",
        "if not 0 < seconds < math.inf:",
        "if seconds < 0:",
        "impossible_limit",
    ),
    command(
        "a module that is not there is one line",
        "raise  # it is there, and imports what is not",
        "pass",
        "cannot_be_imported",
    ),
    command(
        "an application that is not there is one line",
        "        if application is None:",
        "        if False:",
        "not_there",
    ),
    Mutant(
        guard="the server does not say what it is",
        file=COMMAND,
        old='self.parser.set_defaults(server_name="")',
        new="pass",
        tests=f"{LIMITS} -k not_said",
    ),
]
