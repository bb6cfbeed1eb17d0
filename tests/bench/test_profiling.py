"""``python -m bench.profiling``: where the time goes."""

import re

import pytest

from bench.profiling import main, module
from tests.processes import ROOT, python


@pytest.mark.parametrize("kind", ["push", "enqueue", "sync-enqueue"])
def test_profile_has_the_shares_of_modules_and_functions(kind):
    shown = python("-m", "bench.profiling", kind, "--count", "50", "--top", "5")
    assert re.match(rf"{kind}: 50 in this process", shown)
    assert re.search(r"\n  [\d.,]+ µs each without the profiler", shown)
    _, modules, own, cumulative = shown.strip().split("\n\n")
    for name in ("asgi_tasks", "django", "asyncio"):
        assert re.search(rf"^  {name} +[\d.,]+ +\d+%$", modules, re.MULTILINE), name
    assert sum(map(int, re.findall(r"(\d+)%", modules))) == pytest.approx(100, abs=15)
    assert own.count("\n") == cumulative.count("\n") == 6  # with a title and a head


def test_row_stands_for_what_it_measures():
    assert python("-m", "bench.profiling", "7", "--count", "5").startswith("sync-enqueue: 5 ")


def test_profile_that_is_not_there_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["12"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "bench.profiling: there is no profile of '12': "
        "there are push, enqueue, sync-enqueue, or rows 1, 2, 3, 5, 6, 7\n"
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"{ROOT}/asgi_tasks/lanes.py", "asgi_tasks"),
        (f"{ROOT}/.venv/lib/python3.13/site-packages/django/http.py", "django"),
        ("/usr/lib/python3.13/asyncio/events.py", "asyncio"),
        ("/usr/lib/python3.13/uuid.py", "uuid"),
        ("~", "the interpreter"),
    ],
)
def test_function_belongs_to_its_package(path, name):
    assert module((path, 1, "function")) == name
