"""The closing line of `make test` counts what really happened."""

import sys

import pytest

from .run import Run, execute

MIXED = """
import pytest

def test_passes(): pass
def test_fails(): assert False
@pytest.mark.skip
def test_is_skipped(): pass
@pytest.mark.xfail
def test_is_expected_to_fail(): assert False
@pytest.fixture
def broken(): raise ValueError
def test_has_a_broken_fixture(broken): pass
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(text, *extra):
        (tmp_path / "test_it.py").write_text(text)
        arguments = ("test_it.py", "-p", "no:randomly", "-p", "no:django")
        return dict(execute(Run("it", sys.executable, arguments), list(extra)))

    (tmp_path / ".cache/junit").mkdir(parents=True)
    return run


def test_outcomes_are_counted(run):
    assert run(MIXED) == {"passed": 1, "failed": 2, "skipped": 1}


@pytest.mark.parametrize("text", ["import os; os._exit(0)", "syntax error", ""])
def test_run_without_a_result_failed(run, text):
    assert run(text) == {"failed": 1}


def test_crash_half_way_failed(run):
    assert run("import os\ndef test_one(): pass\ndef test_two(): os._exit(7)") == {"failed": 1}


def test_selecting_nothing_is_no_failure(run):
    assert run(MIXED, "-k", "unheard_of") == {}
