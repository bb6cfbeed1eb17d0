"""The distribution: the library alone, typed, with its licence."""

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
        "asgi_tasks/management/commands/provision_tasks.py",
        "asgi_tasks-0.1.0.dist-info/licenses/LICENSE",
    ],
)
def test_wheel_has(wheel, name):
    assert name in wheel.namelist()


def test_metadata_names_the_pythons_and_the_dependencies(wheel):
    metadata = Parser().parsestr(wheel.read("asgi_tasks-0.1.0.dist-info/METADATA").decode())
    assert metadata["Name"] == "asgi-tasks"
    assert metadata["Requires-Python"] == "<3.15,>=3.12"
    names = {line.split(">")[0].lower() for line in metadata.get_all("Requires-Dist")}
    assert names == {
        *("aiohttp", "asgiref", "cryptography", "daphne", "django"),
        *("gcloud-aio-pubsub", "google-auth", "google-cloud-pubsub"),
    }
