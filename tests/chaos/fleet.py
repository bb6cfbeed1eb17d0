"""Server processes that share one port, as the instances of a service do, and are replaced."""

import os
import signal
import subprocess
import sys
import threading
import time

from tests.processes import ROOT

from .site.points import POINTS

TIME_TO_STOP = 15  # seconds
# So many in a row that end by themselves are a server that does not start.
HOPELESS = 5
OUTSIDE = "at a random moment"
KILLS = (*POINTS, OUTSIDE)


class Fleet:
    """Keeps so many servers running. Those ``spared`` are never killed or restarted.

    They inherit the listening socket, so that a connection waits for the next server when none is
    left.
    """

    def __init__(self, listener, folder, env, *, servers, revision, spared, journal):
        self.socket = listener
        self.folder = folder
        self.env = env
        self.journal = journal
        self.revision = revision
        self.spared = spared
        self.starts = 0
        self.drains = []  # seconds from SIGTERM to the end
        self.killed = []  # pids, from outside
        self.crashes = []  # exit codes nobody asked for
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running = {}  # by slot
        self._told = set()  # pids that were sent a signal
        self._keepers = [
            threading.Thread(target=self._keep, args=(slot,), daemon=True)
            for slot in range(servers)
        ]

    def __enter__(self):
        for keeper in self._keepers:
            keeper.start()
        wait_until(lambda: len(self._running) == len(self._keepers), TIME_TO_STOP, "no servers")
        return self

    def __exit__(self, *exception):
        self._stopping.set()
        with self._lock:
            for slot in self._running:
                self._tell(slot, signal.SIGTERM)
        for keeper in self._keepers:
            keeper.join(TIME_TO_STOP)
        with self._lock:
            for process in self._running.values():
                process.kill()

    @property
    def witness(self):
        """The pid of a server that lives throughout."""
        return self._running[0].pid

    def kill(self, dice, at_work):
        """kill -9 one of those that are at work, unless it is the only one."""
        with self._lock:
            slots = [slot for slot in self._running if self._can_be_killed(slot, at_work)]
            if len(slots) > 1:
                slot = dice.choice(slots)
                victim = self._running[slot].pid
                facts = {"victim": victim, "point": OUTSIDE, "number": None, "at": time.time()}
                self._tell(slot, signal.SIGKILL)
                self.journal.write("kill", **facts)
                self.killed.append(victim)

    def roll(self):
        """Replace the servers one by one by a new revision: each drains on SIGTERM."""
        self.revision += 1
        for slot in filter(self._is_mortal, range(len(self._keepers))):
            with self._lock:
                process = self._running.get(slot)
                if process is None:
                    continue
                self._tell(slot, signal.SIGTERM)
            told = time.monotonic()
            process.wait(TIME_TO_STOP)
            self.drains.append(time.monotonic() - told)

    def _can_be_killed(self, slot, at_work):
        process = self._running[slot]
        return self._is_mortal(slot) and process.pid in at_work and process.poll() is None

    def _is_mortal(self, slot):
        return slot >= self.spared

    def _tell(self, slot, number):
        self._told.add(self._running[slot].pid)
        self._running[slot].send_signal(number)

    def _keep(self, slot):
        failures = 0
        while not self._stopping.is_set() and failures < HOPELESS:
            with self._lock:
                process = self._running[slot] = self._start(slot)
            code = process.wait()
            with self._lock:
                del self._running[slot]
            process.stdin.close()
            is_ours = process.pid in self._told or code == -signal.SIGKILL
            failures = 0 if is_ours else failures + 1
            if not is_ours:
                self.crashes.append(code)

    def _start(self, slot):
        self.starts += 1
        env = {**self.env, "CHAOS_REVISION": str(self.revision)}
        if not self._is_mortal(slot):  # it never will be replaced by one of the next revision
            env |= {"CHAOS_RATE": "0", "CHAOS_REVISION": str(self.revision + 1)}
        with self.log(slot).open("ab") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "asgi_tasks.server", "--fd", str(self.socket.fileno())),
                    "tests.chaos.site.asgi:application",
                ],
                cwd=ROOT,
                env={**os.environ, **env},
                pass_fds=[self.socket.fileno()],
                stdin=subprocess.PIPE,  # its end tells the server of ours
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self, slot):
        return self.folder / f"server-{slot}.log"

    @property
    def logs(self):
        return [self.log(slot) for slot in range(len(self._keepers))]


def wait_until(condition, seconds, complaint):
    """What the condition returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.05)
    return value
