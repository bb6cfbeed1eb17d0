"""Runs every part of the test suite and ends with one line that counts them all.

Usage: python -m tests.tooling.run [--lowest] [-- PYTEST_ARGUMENT ...]
"""

import argparse
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

REPORTS = Path(".cache/junit")
TIME_LIMIT = 2400  # seconds
NO_TESTS = 5


@dataclass(frozen=True, slots=True)
class Run:
    name: str
    python: str
    arguments: tuple[str, ...]


def plan(lowest: bool) -> list[Run]:
    library = ("tests", "--ignore=tests/gyrinx")
    site = ("tests/gyrinx", "--ds=gyrinx.settings")
    runs = [Run("library", ".venv/bin/python", library), Run("site", ".venv/bin/python", site)]
    if lowest:
        python = ".venv-lowest/bin/python"
        # These are about make and the wheel, whatever is installed.
        names = ("deploy_scripts", "deployment", "run", "setup", "wheel")
        others = [f"--ignore=tests/tooling/test_{name}.py" for name in names]
        # The documentation's tools are in .venv alone.
        others += [f"--ignore=tests/docs/test_{name}.py" for name in ("site", "site_browser")]
        # So is the type checker.
        others += ["--ignore=tests/typing"]
        # What is measured there is the newest, beside a peer that needs Python 3.13.
        others += ["--ignore=tests/bench"]
        # Minutes of faults: what differs with the versions, the server's limits show.
        others += ["--ignore=tests/reliability", "tests/reliability/test_server_limits.py"]
        runs.append(Run("library-lowest", python, (*library, *others)))
        runs.append(Run("site-lowest", python, site))
    return runs


def outcome(case: ET.Element) -> str | None:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    if skipped is None:
        return "passed"
    return None if skipped.get("type") == "pytest.xfail" else "skipped"


def count(report: Path) -> Counter[str]:
    try:
        cases = ET.parse(report).iter("testcase")
    except (OSError, ET.ParseError):
        return Counter()
    return Counter(filter(None, map(outcome, cases)))


def execute(run: Run, extra: list[str]) -> Counter[str]:
    report = REPORTS / f"{run.name}.xml"
    report.unlink(missing_ok=True)
    print(f"== {run.name}: {run.python} -m pytest {' '.join(run.arguments)}", flush=True)
    command = [run.python, "-m", "pytest", *run.arguments, f"--junitxml={report}", *extra]
    try:
        status = subprocess.run(command, check=False, timeout=TIME_LIMIT).returncode
    except subprocess.TimeoutExpired:
        print(f"== {run.name}: stopped after {TIME_LIMIT} seconds")
        status = -1
    counts = count(report)
    if status == NO_TESTS and extra:
        return counts
    if not counts or (status and not counts["failed"]):
        print(f"== {run.name}: pytest ended with {status}")
        counts["failed"] += 1
    return counts


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.tooling.run", description=__doc__)
    parser.add_argument("--lowest", action="store_true", help="the lower bounds as well")
    parser.add_argument("extra", nargs="*", metavar="PYTEST_ARGUMENT")
    options = parser.parse_args(arguments)
    REPORTS.mkdir(parents=True, exist_ok=True)
    total = Counter[str]()
    for run in plan(options.lowest):
        total += execute(run, options.extra)
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
