"""dead_letters as a person at a terminal sees it."""

import os
import re
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

from tests.processes import ROOT

TIMEOUT = 60  # seconds until what does not come is a failure


class Terminal:
    """A command on a terminal of its own: what it shows, and somebody who types."""

    def __init__(self, command, env):
        ours, theirs = os.openpty()
        self.shown = ""
        self._ours = ours
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            try:
                found = os.read(self._ours, 4096)
            except OSError:  # the other end is closed
                return
            if not found:
                return
            self.shown += found.decode()

    def wait_for(self, pattern):
        deadline = time.monotonic() + TIMEOUT
        while not re.search(pattern, self.shown):
            assert time.monotonic() < deadline, self.shown
            time.sleep(0.02)

    def type(self, text):
        os.write(self._ours, text.encode())

    def wait(self):
        code = self.process.wait(TIMEOUT)
        self._reader.join()
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        os.close(self._ours)


@contextmanager
def terminal(box, *arguments):
    screen = Terminal(*box.command(*arguments))
    try:
        yield screen
    finally:
        screen.close()


def test_replay_shows_a_bar(box):
    box.bury_all([box.letter("add", number, 0) for number in range(1000)])
    with terminal(box, "replay") as screen:
        assert screen.wait() == 0
    bars = re.findall(r"\r\[(#*)(-*)\] (\d+)/1000", screen.shown)
    assert bars[0] == ("", "-" * 30, "0")
    assert bars[-1] == ("#" * 30, "", "1000")
    assert len(bars) >= 4  # ten requests, four at once
    assert all(len(filled) == int(done) * 30 // 1000 for filled, _, done in bars)
    assert screen.shown.endswith("1000/1000\r\nReplayed 1,000 dead letters.\r\n")


def test_quiet_replay_shows_none(box):
    box.bury("add", 1, 2)
    with terminal(box, "replay", "--verbosity", "0") as screen:
        assert screen.wait() == 0
    assert "[#" not in screen.shown


def test_bar_ends_where_it_is_interrupted(box):
    box.bury_all([box.letter("add", number, 0) for number in range(200)])
    with terminal(box, "replay", "--rate", "50") as screen:
        screen.wait_for(r"\] [1-9]\d*/200")
        screen.process.send_signal(signal.SIGINT)
        assert screen.wait() == 130
    assert re.search(r"/200\r\nReplayed \d+ dead letters?\.\r\n", screen.shown)


def test_discard_asks_and_holds_them_meanwhile(box):
    letter = box.bury("add", 1, 2)
    with terminal(box, "discard", "--all") as screen:
        screen.wait_for(r"Discard 1 dead letter \(1 add\) for good\? \[yes/no\] ")
        assert box.states() == {letter.message_id: "outstanding"}
        screen.type("yes\n")
        assert screen.wait() == 0
    assert screen.shown.endswith("Discarded 1 dead letter.\r\n")
    assert box.states() == {letter.message_id: "acknowledged"}


def test_interrupted_at_the_question_it_gives_them_back(box):
    letter = box.bury("add", 1, 2)
    with terminal(box, "discard", "--all") as screen:
        screen.wait_for(r"\[yes/no\] ")
        screen.process.send_signal(signal.SIGINT)
        assert screen.wait() == 130
    assert box.waiting() == {letter.message_id}
