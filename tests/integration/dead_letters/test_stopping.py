"""The command killed, terminated and interrupted: nothing is lost, and what is left is free."""

import os
import signal
import time
from collections import Counter

import pytest

from asgi_tasks.dead_letters.replaying import BATCH_MESSAGES, WORKERS
from tests.processes import running

LETTERS = int(os.environ.get("TESTS_DEAD_LETTERS", "1000"))
LEASE = 60  # seconds
UNDER_WAY = WORKERS * BATCH_MESSAGES


def replay(box, *arguments):
    command, env = box.command("replay", *arguments)
    return running(*command, env=env)


def acknowledged(box):
    return sum(state == "acknowledged" for state in box.states().values())


def kill(process):
    assert process.stop(signal.SIGKILL) == -signal.SIGKILL


def test_killed_twice_and_run_again_it_loses_nothing(box):
    letters = box.bury_all([box.letter("add", number, 0) for number in range(LETTERS)])

    # Between the confirmation and the acknowledgement: what is under way runs twice.
    box.emulator.fault("call.delay", call="Acknowledge", seconds=3600)
    with replay(box) as process:
        box.wait_until(lambda: len(box.published()) == UNDER_WAY)
        kill(process)
    assert acknowledged(box) == 0
    box.emulator.clear_faults()
    box.emulator.clock.advance(LEASE + 1)

    # In the middle, at some moment.
    with replay(box, "--rate", str(LETTERS / 5)) as process:
        box.wait_until(lambda: acknowledged(box) >= LETTERS / 10)
        kill(process)
    before = acknowledged(box)
    assert LETTERS / 10 <= before < LETTERS
    box.emulator.clock.advance(LEASE + 1)

    began = time.monotonic()
    box.do("replay")
    seconds = time.monotonic() - began
    copies = Counter(message.attributes["replayed_from"] for message in box.published())
    lost = {letter.message_id for letter in letters} - copies.keys()
    duplicates = copies.total() - LETTERS
    print(
        f"{LETTERS:,} dead letters, 2 kills, {len(lost)} lost, {duplicates:,} published twice; "
        f"the last run replayed {LETTERS - before:,} in {seconds:.1f} s"
    )
    assert set(box.states().values()) == {"acknowledged"}
    assert lost == set()
    assert UNDER_WAY <= duplicates <= 2 * UNDER_WAY


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_gives_the_rest_back_at_once(box, number):
    box.bury_all([box.letter("add", one, 0) for one in range(300)])
    with replay(box, "--rate", "50") as process:
        box.wait_until(lambda: acknowledged(box) >= 10)
        code = process.stop(number)
    done = acknowledged(box)
    assert code == 128 + number
    assert process.output.splitlines()[-1] == "CommandError: Stopped."
    assert f"Replayed {done} dead letters." in process.output
    assert len(box.published()) == done
    assert len(box.waiting()) == 300 - done


@pytest.mark.parametrize("action", ["list", "discard", "export"])
def test_interrupted_while_it_looks_it_gives_everything_back(box, tmp_path, action):
    box.bury_all([box.letter("add", one, 0) for one in range(100)])
    arguments = {"discard": ["--all", "--no-input"], "export": [str(tmp_path / "file")]}
    # Each pull but the first few takes for ever, as from a Pub/Sub that is slow.
    for _ in range(8):
        box.emulator.fault("call.delay", call="Pull", seconds=0.001, count=1)
    box.emulator.fault("call.delay", call="Pull", seconds=3600)
    command, env = box.command(action, *arguments.get(action, []))
    with running(*command, env=env) as process:
        box.wait_until(lambda: "outstanding" in box.states().values())
        assert process.stop(signal.SIGINT) == 128 + signal.SIGINT
    assert process.output.splitlines()[-1] == "CommandError: Stopped."
    assert len(box.waiting()) == 100
    assert list(tmp_path.iterdir()) == []
