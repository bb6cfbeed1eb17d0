"""``python -m bench`` as it is typed, with rows that take no time, and really."""

import json
import os
import re
import signal
import sys
import time
import uuid
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.figures import Figure, Measured
from bench.recording import undisturbed
from tests.postgres import PostgresMissing
from tests.processes import running

PAGE = """\
# A page

<!-- machine --><!-- end of machine -->
<!-- summary --><!-- end of summary -->
Words by hand.
<!-- row 1 --><!-- end of row 1 -->
<!-- row 2b -->
<!-- end of row 2b -->
"""


@pytest.fixture
def docs(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "benchmarks.md").write_text(PAGE)
    return tmp_path


@pytest.fixture
def bench(docs, capsys):
    """Run it; return its exit code and what it prints."""

    def run(*arguments, **rows):
        code = main(arguments, {"1": giving(1), "2b": giving(2)} | rows, docs)
        return code, capsys.readouterr().out

    return run


def giving(value, wanted=1):
    def measure(plan):
        """Something against another."""
        assert plan.rounds >= 1
        return Measured(
            figures=[
                Figure(name="ours", unit="s", values=[value] * plan.rounds),
                Figure(name="theirs", unit="s", values=[value * 3] * plan.rounds),
                Figure(name="ratio", unit="times", values=[value], at_least=wanted),
            ]
        )

    return measure


def failing(error):
    def measure(plan):
        raise error

    return measure


def rows_of(docs):
    return json.loads((docs / "benchmarks.json").read_text())["rows"]


def values(row):
    return row["figures"][0]["values"]


def test_page_file_and_plots_are_written(bench, docs):
    code, printed = bench()
    assert code == 0
    assert re.search(r"row 1: Something against another\.\n +figure +unit +median", printed)
    assert "2 of 2 wanted figures reached, in 0 s" in printed
    assert list(rows_of(docs)) == ["1", "2b"]
    text = (docs / "benchmarks.md").read_text()
    assert "Words by hand." in text
    assert "| ours | s | 1 | 1 | 1 |  |" in text
    assert "![Row 2b, drawn](images/bench-2b.svg)" in text
    assert {path.name for path in docs.rglob("*.svg")} == {"bench-1.svg", "bench-2b.svg"}
    assert not list(docs.rglob("*.new"))


def test_figure_that_is_not_reached_is_said_loudly_and_is_no_failure(bench):
    code, printed = bench(**{"1": giving(1, wanted=7)})
    assert code == 0
    summary = printed[printed.index("1 of 2 wanted figures reached") :]
    assert "row 1: ratio: 1 times, at least 7: NOT REACHED" in summary


def test_only_what_is_named_is_measured_and_replaced(bench, docs):
    bench()
    code, printed = bench("--only", "2b", **{"1": failing(AssertionError), "2b": giving(5)})
    assert code == 0
    assert "row 1" not in printed
    assert [values(row) for row in rows_of(docs).values()] == [[1] * 5, [5] * 5]
    text = (docs / "benchmarks.md").read_text()
    assert "| ours | s | 1 | 1 | 1 |  |" in text
    assert "| ours | s | 5 | 5 | 5 |  |" in text


def test_several_rows_are_measured_in_their_order(bench, docs):
    bench("--only", "2b, 1,2b")
    assert list(rows_of(docs)) == ["1", "2b"]


def measured_elsewhere(docs, part, name):
    """As if the file came from another machine, or of other versions."""
    file = docs / "benchmarks.json"
    document = json.loads(file.read_text())
    document[part][name] = 96
    file.write_text(json.dumps(document))
    return file


@pytest.mark.parametrize("changed", [("machine", "processors"), ("versions", "Django")])
def test_row_of_another_machine_is_not_mixed_in(bench, docs, changed):
    bench()
    file = measured_elsewhere(docs, *changed)
    before = file.read_bytes(), (docs / "benchmarks.md").read_bytes()
    code, printed = bench("--only", "1")
    assert code == 0
    assert "nothing is written: " in printed
    assert "wanted figures reached" in printed
    assert (file.read_bytes(), (docs / "benchmarks.md").read_bytes()) == before


def test_all_rows_replace_those_of_another_machine(bench, docs):
    bench()
    measured_elsewhere(docs, "machine", "processors")
    with pytest.raises(KeyboardInterrupt):
        bench(**{"2b": failing(KeyboardInterrupt)})
    assert list(rows_of(docs)) == ["1"]


def test_interrupted_run_keeps_the_rows_that_were_finished(bench, docs):
    with pytest.raises(KeyboardInterrupt):
        bench(**{"1": giving(4), "2b": failing(KeyboardInterrupt)})
    assert [values(row) for row in rows_of(docs).values()] == [[4] * 5]


def test_row_that_fails_is_named_and_the_others_are_measured(bench, docs, capsys):
    code, printed = bench(**{"1": failing(PostgresMissing("no server here"))})
    assert code == 1
    assert "  not measured: no server here\n" in printed
    assert printed.endswith("  row 1: NOT MEASURED\n")
    assert list(rows_of(docs)) == ["2b"]


def test_error_of_a_row_is_shown_whole(docs, capsys):
    code = main([], {"1": failing(AssertionError({"500": 3})), "2b": giving(2)}, docs)
    assert code == 1
    shown = capsys.readouterr()
    assert "AssertionError: {'500': 3}" in shown.err
    assert list(rows_of(docs)) == ["2b"]


@pytest.mark.parametrize(
    "arguments", [("--no-page", "--rounds", "1"), ("--scale", "0.5", "--rounds", "1")]
)
def test_page_is_left_when_it_is_not_meant(bench, docs, arguments):
    code, _ = bench(*arguments)
    assert code == 0
    assert (docs / "benchmarks.md").read_text() == PAGE
    assert [path.name for path in docs.rglob("*") if path.is_file()] == ["benchmarks.md"]


def test_figures_go_to_the_file_that_is_named(bench, docs, tmp_path):
    code, _ = bench("--json", str(tmp_path / "mine.json"), "--rounds", "2")
    assert code == 0
    assert values(json.loads((tmp_path / "mine.json").read_text())["rows"]["1"]) == [1, 1]
    assert (docs / "benchmarks.md").read_text() == PAGE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "99"], "there is no row '99': there are 1, 2b"),
        (["--only", "1,"], "there is no row '': there are 1, 2b"),
        (["--rounds", "4"], "the page needs 5 rounds or more: add --no-page for fewer"),
        (["--rounds", "0", "--no-page"], "--rounds: 0 is not a number from 1 to 100"),
        (["--scale", "2"], "--scale: 2 is not a number from 0.001 to 1"),
        (["--scale", "nan"], "--scale: nan is not a number from 0.001 to 1"),
        (["--json", "/nowhere/it.json"], "--json: there is no folder /nowhere"),
        (["--loud"], "unrecognized arguments: --loud"),
    ],
)
def test_wrong_option_is_one_line(bench, docs, capsys, arguments, words):
    assert_refused(bench, capsys, words, *arguments)


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": {}}', "\0"])
def test_file_of_another_kind_is_one_line_and_stays(bench, docs, capsys, text):
    (docs / "benchmarks.json").write_text(text)
    assert_refused(bench, capsys, str(docs / "benchmarks.json"))
    assert (docs / "benchmarks.json").read_text() == text


def test_page_without_a_place_for_a_row_is_one_line_before_anything_is_measured(
    bench, docs, capsys
):
    (docs / "benchmarks.md").write_text(PAGE.replace("<!-- row 2b -->", ""))
    assert_refused(bench, capsys, "the page needs one place for row 2b")


def assert_refused(bench, capsys, words, *arguments):
    with pytest.raises(SystemExit) as ended:
        bench(*arguments)
    shown = capsys.readouterr()
    assert ended.value.code == 2
    assert shown.err.startswith("bench: ")
    assert words in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out


def test_interrupt_comes_after_the_files_of_a_row():
    done = []

    def write():
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_the_servers_and_the_load_in_one_line(signum):
    mark = uuid.uuid4().hex
    arguments = ("-m", "bench", "--only", "2", "--rounds", "100", "--no-page")
    with running(sys.executable, *arguments, env={"MARK": mark}) as process:
        wait_until(lambda: len(pids(mark)) == 4, process)  # itself, the load and two servers
        assert process.stop(signum) == 130
    assert process.output.splitlines()[1:] == ["", "interrupted"]
    assert not pids(mark)


def wait_until(condition, process):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.is_running, process.output
        assert time.monotonic() < deadline, process.output
        time.sleep(0.05)


def pids(mark):
    """The processes that have a variable of this value."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"MARK={mark}".encode() in environment and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found
