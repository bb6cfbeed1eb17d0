"""requirements/setup.sh in a folder of its own, with the Pythons on its path made up."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

TOOLS = ("sh", "cat", "cmp", "grep", "head", "ls", "mkdir", "rm", "env")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
# A real Python, but without ensurepip, which takes seconds.
QUICK = 'case $* in *ensurepip*) exit 1;; esac; exec "$PYTHON_HERE" "$@"'
UNREACHABLE = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "requirements").mkdir(parents=True)
    (folder / "bin").mkdir()
    shutil.copy(ROOT / "requirements/setup.sh", folder / "requirements")
    (folder / "requirements/dev.txt").touch()
    for tool in TOOLS:
        (folder / "bin" / tool).symlink_to(shutil.which(tool))
    return folder


def add_python(project, name, body=QUICK):
    path = project / "bin" / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def set_up(project, **variables):
    environ = {
        "PATH": str(project / "bin"),
        "PYENV_ROOT": str(project / "no-pyenv"),
        "PYTHON_HERE": sys.executable,
        "PIP_CONFIG_FILE": os.devnull,
        **variables,
    }
    command = ["sh", "requirements/setup.sh", "dev", ".venv"]
    return subprocess.run(
        command,
        cwd=project,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def assert_refused(result, *words):
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def test_second_run_has_nothing_to_do(project):
    add_python(project, "python3", 'exec "$PYTHON_HERE" "$@"')
    first = set_up(project)
    assert (first.returncode, first.stderr) == (0, "")
    assert "installing requirements/dev.txt" in first.stdout
    assert (project / ".venv/bin/pip").exists()
    assert set_up(project).stdout == ""


def test_broken_shim_and_old_python_are_passed_over(project):
    add_python(project, "python", "exit 127")
    add_python(project, "python3", "echo 3.11")
    add_python(project, f"python{VERSION}")
    assert f"with python{VERSION} " in set_up(project).stdout


def test_wanted_version_comes_first(project):
    add_python(project, "python3.14", "echo 3.14")
    add_python(project, "python3")
    (project / ".python-version").write_text(f"{VERSION}\n")
    assert "with python3 " in set_up(project).stdout


def test_no_python_new_enough(project):
    add_python(project, "python3", "echo 3.11")
    assert_refused(set_up(project), "no Python 3.12, 3.13 or 3.14", "python3 is 3.11", "PYTHON=")


def test_chosen_python_is_too_old(project):
    add_python(project, "old", "echo 3.9")
    assert_refused(set_up(project, PYTHON="old"), "PYTHON=old does not run here, or is not")


def test_no_venv_module(project):
    add_python(
        project, "python3", f"case $* in *ensurepip*|*venv*|*pip*) exit 1;; esac; echo {VERSION}"
    )
    assert_refused(set_up(project), f"apt-get install python{VERSION}-venv")


def test_pip_stands_in_for_ensurepip(project):
    add_python(project, "python3", QUICK)
    result = set_up(project)
    assert (result.returncode, result.stderr) == (0, "")
    assert not (project / ".venv/bin/pip").exists()


def test_no_package_index(project):
    add_python(project, "python3")
    lock = project / "requirements/dev.txt"
    lock.write_text(f"asgiref==3.13.0 --hash=sha256:{'0' * 64}\n")
    assert_refused(set_up(project, **UNREACHABLE), "cannot reach the package index", "make again")
    lock.write_text("")
    assert "making .venv" in set_up(project).stdout


def test_interrupted_set_up_is_redone(project):
    add_python(project, "python3")
    half_made = project / ".venv/bin/python"
    half_made.parent.mkdir(parents=True)
    half_made.write_text("")
    result = set_up(project)
    assert result.returncode == 0
    subprocess.run([half_made, "-c", ""], check=True)


def test_changed_lock_is_installed_over_the_old(project):
    add_python(project, "python3")
    set_up(project)
    (project / "requirements/dev.txt").write_text("# nothing\n")
    result = set_up(project)
    assert "making" not in result.stdout
    assert "installing" in result.stdout


def test_moved_folder_gets_a_new_environment(project):
    add_python(project, "python3")
    set_up(project)
    moved = project.rename(project.with_name("moved"))
    assert "making .venv" in set_up(moved).stdout


def test_no_registry_is_named_in_the_lock_files():
    for lock in Path(ROOT / "requirements").iterdir():
        assert "://" not in lock.read_text(), lock
