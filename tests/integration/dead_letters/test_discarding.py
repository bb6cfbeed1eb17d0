"""dead_letters discard: what it asks, and what it removes."""

import io

import pytest


@pytest.fixture
def answer(monkeypatch):
    """What somebody types at the question."""

    def type_in(text):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return type_in


def test_ids_are_removed(box):
    letter, other = box.bury("add", 1, 2), box.bury("add", 3, 4)
    out = box.do("discard", letter.message_id, "--no-input")
    assert out.endswith("Discarded 1 dead letter.\n")
    assert box.waiting() == {other.message_id}
    assert box.published() == []


def test_task_selects(box):
    box.bury("add", 1, 2)
    other = box.bury("echo", 1)
    box.do("discard", "--task", "add", "--no-input")
    assert box.waiting() == {other.message_id}


def test_all_has_to_be_said(box):
    box.bury("add", 1, 2)
    box.bury("gone", data=b"{")
    done = box.run("discard", "--no-input")
    assert (done.code, len(done.error.splitlines())) == (1, 1)
    assert "Say what to discard: ids, --task, --older-than, --newer-than, or --all." in done.error
    assert len(box.waiting()) == 2
    box.do("discard", "--all", "--no-input")
    assert box.waiting() == set()


def test_all_and_a_filter_contradict_each_other(box):
    box.bury("add", 1, 2)
    assert box.run("discard", "--all", "--task", "add", "--no-input").code == 1
    assert len(box.waiting()) == 1


@pytest.mark.parametrize("text", ["yes\n", "Y\n"])
def test_yes_discards(box, answer, text):
    answer(text)
    box.bury("add", 1, 2)
    box.do("discard", "--all")
    assert box.waiting() == set()


@pytest.mark.parametrize("text", ["", "\n", "no\n", "yesterday\n"])
def test_anything_else_does_not(box, answer, text):
    answer(text)
    box.bury("add", 1, 2)
    done = box.run("discard", "--all")
    assert done.code == 1
    assert "Nothing was discarded. Without a person to ask, give --no-input." in done.error
    assert len(box.waiting()) == 1


def test_dry_run_changes_nothing(box):
    letters = box.bury_all([box.letter("add", number, 0) for number in range(25)])
    out = box.do("discard", "--all", "--dry-run")
    assert "and 5 more\nWould discard 25 dead letters (25 add). Nothing was changed.\n" in out
    assert len(box.waiting()) == len(letters)


def test_what_was_removed_before_a_failure_is_said(box):
    letters = box.bury_all([box.letter("add", number, 0) for number in range(1200)])
    # The first request of a thousand is let through.
    box.emulator.fault("call.delay", call="Acknowledge", seconds=0.001, count=1)
    box.refuse("Acknowledge")
    done = box.run("discard", "--all", "--no-input")
    assert done.code == 1
    assert done.out.endswith("Discarded 1,000 of 1,200 dead letters. What is left is given back.\n")
    assert "Could not acknowledge dead letters: This fault was asked for." in done.error
    assert len(box.waiting()) == len(letters) - 1000


def test_unknown_id_discards_nothing(box):
    letter = box.bury("add", 1, 2)
    done = box.run("discard", letter.message_id, "nobody", "--no-input")
    assert (done.code, box.waiting()) == (1, {letter.message_id})
