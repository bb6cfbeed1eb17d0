"""Takes out each guard in a copy of the project; the tests named beside it have to fail.

Usage: python -m tests.mutants [WORD ...]     only mutants whose guard or file has one of the words
"""

import functools
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import Mutant
from .found import ROOT, find_mutants

COPIED = (
    *("asgi_tasks", "bench", "tests", "gyrinx", "docker", "docs", "manage.py", "pyproject.toml"),
    *("Makefile", "cloudbuild.yaml", "README.md", "CHANGELOG.md", "SECURITY.md"),
)
TIME_LIMIT = 300  # seconds; a test that hangs has noticed
NOTICED, HUNG, UNNOTICED = "noticed", "noticed (hung)", "UNNOTICED"


def main(words: list[str]) -> int:
    mutants = [m for m in find_mutants() if not words or any(w in m.guard + m.file for w in words)]
    with tempfile.TemporaryDirectory() as folder:
        verdicts = [verdict_on(m, Path(folder) / "copy") for m in mutants]
    hung = verdicts.count(HUNG)
    survivors = len(verdicts) - verdicts.count(NOTICED) - hung
    print(
        f"{len(mutants)} guards taken out, {survivors} of them unnoticed, "
        f"{hung} noticed by a time-out"
    )
    return 1 if survivors or not mutants else 0


def verdict_on(mutant: Mutant, copy: Path) -> str:
    verdict = "BROKEN: red without it"
    if is_green(mutant.tests, copy):
        lay_out(copy)
        target = copy / mutant.file
        target.write_text(target.read_text().replace(mutant.old, mutant.new))
        status = test(mutant.tests, copy)
        # 1: some tests failed. All else, but for a time-out, says that they did not run.
        verdict = {0: UNNOTICED, 1: NOTICED, None: HUNG}.get(status, f"BROKEN: {status}")
    print(f"{verdict:10} {mutant.file}: {mutant.guard}", flush=True)
    return verdict


@functools.cache
def is_green(tests: str, copy: Path) -> bool:
    """Whether the tests pass while every guard stands."""
    lay_out(copy)
    return test(tests, copy) == 0


def lay_out(copy: Path) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)


def test(tests: str, copy: Path) -> int | None:
    options = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header")
    command = (sys.executable, "-m", "pytest", *options, *shlex.split(tests))
    try:
        done = subprocess.run(
            command, cwd=copy, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode not in (0, 1):
        print(done.stdout[-2000:] + done.stderr[-2000:])
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
