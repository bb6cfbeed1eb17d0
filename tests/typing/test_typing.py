"""What a type checker, and so an editor, makes of a user's code."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from asgi_tasks import PubSubOptions
from asgi_tasks.conf import BackendOptions, parse_options
from tests.processes import ROOT

FOLDER = Path(__file__).parent
MODULES = ["settings", "shop", "checks"]
MARK = re.compile(r"  # (error|is): (.*)$", re.MULTILINE)
SAID = re.compile(r'(\w+)\.py:(\d+): (?:error: .*\[([\w-]+)\]|note: Revealed type is "(.*)")')


@pytest.fixture(scope="module")
def said():
    """What mypy says, by module: (line, error code or type)."""
    pytest.importorskip("mypy", reason="no mypy: pip install --group check")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version=3.12", "--no-pretty"]
    command += ["--config-file=", f"--cache-dir={ROOT}/.cache/mypy", "--follow-imports=silent"]
    files = [f"tests/typing/{name}.py" for name in MODULES]
    done = subprocess.run(
        [*command, *files], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stderr == ""
    found = SAID.findall(done.stdout)
    shown = {name: [] for name in MODULES}
    for module, line, code, revealed in found:
        shown[module].append((int(line), code or revealed))
    return shown


@pytest.mark.parametrize("module", MODULES)
def test_mypy_says_what_the_file_expects(said, module):
    lines = (FOLDER / f"{module}.py").read_text().splitlines()
    expected = [(n, found[2]) for n, line in enumerate(lines, 1) if (found := MARK.search(line))]
    assert expected
    assert said[module] == expected


def test_options_are_those_of_the_backend():
    hints = get_type_hints(BackendOptions)
    assert get_type_hints(PubSubOptions) == hints
    assert list(PubSubOptions.__annotations__) == list(hints)


def test_required_options_are_those_without_a_default():
    required = PubSubOptions.__required_keys__
    assert parse_options(
        dict.fromkeys(required, "https://a1.example")
        | {"project_id": "shop", "push_service_account": "a@b"}
    )
    assert required == {"project_id", "routes", "service_url", "push_service_account"}


def test_options_are_importable_before_django_is_configured():
    code = """
import sys
from asgi_tasks import PubSubOptions
from django.conf import settings
assert not settings.configured
assert not {"django.tasks", "django.db", "aiohttp", "grpc"} & sys.modules.keys()
"""
    environment = {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
