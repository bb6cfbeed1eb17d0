"""The emulator for as long as a ``with`` block, as a process or in a thread of this one."""

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, Unpack

from .client import Emulator
from .errors import EmulatorError
from .options import EmulatorOptions, command_line, parse

START_TIMEOUT: Final = 60  # seconds; the machine may be busy
STOP_TIMEOUT: Final = 10  # seconds
LOG_SHOWN: Final = 20_000  # bytes, the last ones
ROOT: Final = str(Path(__file__).parents[2])
# Where we were imported from comes last, so that it hides nothing.
COMMAND: Final = """import sys; sys.path.append(sys.argv.pop(1))
from asgi_tasks.testing.child import main; sys.exit(main())"""


@contextmanager
def emulator_process(**options: Unpack[EmulatorOptions]) -> Iterator[Emulator]:
    """
    The emulator as a process of its own on a free port. It ends with the block, and with this
    process even if that is killed.

    Raise TypeError or EmulatorError if the options are wrong, and EmulatorError, with what it wrote
    to stderr, if it does not start or ends by itself.
    """
    arguments = command_line(options)
    parse(arguments)
    with tempfile.TemporaryFile() as stderr, _child(arguments, stderr) as child:
        yield Emulator(child.url(), log=child.log)
        child.check_alive()


@contextmanager
def emulator_in_process(**options: Unpack[EmulatorOptions]) -> Iterator[Emulator]:
    """
    The emulator on a free port, in a thread of this process with an event loop of its own. Google's
    generated async clients (grpc.aio) are slow beside it, some 300 calls a second: use
    emulator_process() with them.

    Raise TypeError or EmulatorError if the options are wrong or it does not start.
    """
    server = _Server(parse(command_line(options)))
    port = server.start()
    try:
        yield Emulator(f"http://127.0.0.1:{port}")
    finally:
        server.stop()


class _Child:
    def __init__(self, arguments: list[str], stderr: IO[bytes]) -> None:
        self._stderr = stderr
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", COMMAND, ROOT, *arguments],
            stdin=subprocess.PIPE,  # its end tells the child of ours
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C is for the tests, which then end it
        )

    def url(self) -> str:
        """Where it listens, once it does."""
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        impatience = threading.Timer(START_TIMEOUT, self._process.kill)
        impatience.start()
        line = self._process.stdout.readline().decode()
        impatience.cancel()
        found = re.search(r"http://\S+", line)
        if found is None:
            raise EmulatorError(f"The emulator did not start.{self.log()}")
        return found[0]

    def log(self) -> str:
        """How it ended, if it did, and the end of what it wrote to stderr."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        code = self._process.returncode
        ended = "" if code is None else f"\nThe emulator's process ended with code {code}."
        # Its place in the file is shared with the child: read without moving it.
        size = os.fstat(self._stderr.fileno()).st_size
        text = os.pread(self._stderr.fileno(), LOG_SHOWN, max(0, size - LOG_SHOWN)).decode()
        return f"{ended}\nIt wrote to stderr:\n{text}" if text else ended

    def check_alive(self) -> None:
        if self._process.poll() is not None:
            raise EmulatorError(f"The emulator ended by itself.{self.log()}")

    def stop(self) -> None:
        with self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()


@contextmanager
def _child(arguments: list[str], stderr: IO[bytes]) -> Iterator[_Child]:
    child = _Child(arguments, stderr)
    try:
        yield child
    finally:
        child.stop()


class _Server:
    """The emulator on an event loop in a thread."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        # Here, not in the thread: a test that imports the same meanwhile would wait for its lock.
        from asgi_tasks.emulator.cli import options_from

        self._options = options_from(arguments)
        self._thread = threading.Thread(target=self._run, name="asgi_tasks-emulator", daemon=True)
        self._started: Future[tuple[int, Callable[[], object]]] = Future()

    def start(self) -> int:
        """The port it listens on."""
        self._thread.start()
        try:
            port, self._stop = self._started.result(START_TIMEOUT)
        except Exception as error:
            raise EmulatorError(f"The emulator did not start: {error!r}") from error
        return port

    def stop(self) -> None:
        self._stop()
        self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        import asyncio

        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        import asyncio

        from asgi_tasks.emulator.server import emulator

        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        async with emulator(self._options) as port:
            self._started.set_result((port, partial(loop.call_soon_threadsafe, stopped.set)))
            await stopped.wait()
