"""The distribution: the library alone, typed, with its licence."""

import os
import re
import subprocess
import sys
import zipfile
from email.parser import Parser

import pytest

from tests.processes import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_holds_the_library_alone(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"asgi_tasks", "asgi_tasks-0.1.0.dist-info"}


@pytest.mark.parametrize(
    "name",
    [
        "asgi_tasks/py.typed",
        "asgi_tasks/emulator/__main__.py",
        *(
            f"asgi_tasks/emulator/console/{name}"
            for name in ("page.html", "page.css", "page.js", "rows.js", "table.js", "words.js")
        ),
        "asgi_tasks/management/commands/provision_tasks.py",
        "asgi_tasks/testing/plugin.py",
        "asgi_tasks-0.1.0.dist-info/licenses/LICENSE",
    ],
)
def test_wheel_has(wheel, name):
    assert name in wheel.namelist()


def test_metadata_names_the_pythons_and_the_dependencies(wheel):
    metadata = Parser().parsestr(wheel.read("asgi_tasks-0.1.0.dist-info/METADATA").decode())
    assert metadata["Name"] == "asgi-tasks"
    assert metadata["Requires-Python"] == "<3.15,>=3.12"
    required = metadata.get_all("Requires-Dist")
    names = {line.split(">")[0].lower() for line in required if "extra ==" not in line}
    assert names == {
        *("aiohttp", "asgiref", "cryptography", "daphne", "django"),
        *("gcloud-aio-pubsub", "google-auth", "google-cloud-pubsub"),
    }


def test_what_only_some_need_is_an_extra(wheel):
    metadata = Parser().parsestr(wheel.read("asgi_tasks-0.1.0.dist-info/METADATA").decode())
    required = metadata.get_all("Requires-Dist")
    extras = dict(re.findall(r"^([\w-]+)>=[\d.]+; extra == '(\w+)'$", "\n".join(required), re.M))
    assert extras == {
        "python-json-logger": "logs",
        "google-cloud-monitoring": "monitoring",
        "opentelemetry-api": "otel",
        "pytest": "pytest",
    }
    assert set(metadata.get_all("Provides-Extra")) == set(extras.values())


def test_pytest_finds_the_fixtures_of_an_installed_wheel(wheel, tmp_path):
    site, tests = tmp_path / "site", tmp_path / "tests"
    wheel.extractall(site)
    tests.mkdir()
    (tests / "test_it.py").write_text(
        "def test_it(pubsub_emulator, pubsub_emulator_process):\n"
        "    assert pubsub_emulator.messages() == pubsub_emulator_process.messages() == []\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command,
        cwd=tests,
        env=env | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "asgi-tasks-0.1.0" in done.stdout
