"""Dockerfile, .dockerignore and cloudbuild.yaml fit the site, as far as tests can tell."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from string import Template

import grimp
import pytest
import yaml

from tests.processes import ROOT

BUILD_FIELDS = {
    *("steps", "timeout", "queueTtl", "logsBucket", "options", "substitutions", "tags"),
    *("serviceAccount", "secrets", "availableSecrets", "artifacts", "images"),
}
STEP_FIELDS = {
    *("name", "args", "env", "allowFailure", "allowExitCodes", "dir", "id", "waitFor"),
    *("entrypoint", "secretEnv", "volumes", "timeout", "script", "automapSubstitutions"),
}
STARTS = ("prepare", "deploy")
BUILT_IN = {"PROJECT_ID": "project", "BUILD_ID": "build"}


@pytest.fixture(scope="module")
def build():
    return yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())


@pytest.fixture(scope="module")
def step(build):
    """A function: a step's arguments, filled in."""

    def step(name):
        (found,) = (step for step in build["steps"] if step["id"] == name)
        return [expand(argument, build["substitutions"]) for argument in found["args"]]

    return step


def expand(text, substitutions):
    while "$" in text:
        text = Template(text).substitute(BUILT_IN, **substitutions)
    return text


def flag(arguments, name):
    (value,) = (a.partition("=")[2] for a in arguments if a.startswith(f"--{name}="))
    return value


def pairs(text):
    return dict(pair.split("=", 1) for pair in text.split(","))


def test_build_has_only_documented_fields(build):
    assert build.keys() <= BUILD_FIELDS
    for step in build["steps"]:
        assert step.keys() <= STEP_FIELDS
        assert all(isinstance(argument, str) for argument in step["args"])
    assert re.fullmatch(r"\d+s", build["timeout"])


def test_every_substitution_is_used(build):
    text = (ROOT / "cloudbuild.yaml").read_text()
    assert [name for name in build["substitutions"] if f"${{{name}}}" not in text] == []


def test_steps_come_in_order(build):
    assert [step["id"] for step in build["steps"]] == ["build", "push", "prepare", "deploy"]
    assert all("waitFor" not in step for step in build["steps"])


def test_same_image_all_the_way(step):
    images = {step("build")[2], step("push")[1], *(flag(step(n), "image") for n in STARTS)}
    assert len(images) == 1


def test_public_service_has_an_account_of_its_own(step):
    assert flag(step("prepare"), "service-account") != flag(step("deploy"), "service-account")
    assert pairs(flag(step("deploy"), "set-env-vars"))["TASKS_SKIP_PROVISIONING"] == "true"


def test_job_migrates_then_provisions(step):
    command = flag(step("prepare"), "args").removeprefix("^|^").split("|")
    assert command[:2] == ["sh", "-c"]
    assert command[2] == "python manage.py migrate --no-input && python manage.py provision_tasks"
    assert {"--execute-now", "--wait"} <= set(step("prepare"))


def test_service_outlasts_the_longest_task(step, ack_deadlines):
    deploy = step("deploy")
    timeout = int(flag(deploy, "timeout"))
    assert timeout >= max(ack_deadlines.values())
    assert pairs(flag(deploy, "set-env-vars"))["SERVICE_TIMEOUT"] == str(timeout)


@pytest.mark.parametrize("name", STARTS)
def test_production_settings_find_all_they_need(step, name):
    secrets = pairs(flag(step(name), "set-secrets"))
    secrets |= {"DATABASE_URL": "postgres:///gyrinx"}
    environ = {"PATH": os.environ["PATH"], **secrets, **pairs(flag(step(name), "set-env-vars"))}
    subprocess.run([sys.executable, "-c", "import gyrinx.settings_prod"], env=environ, check=True)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The files of the image, by the Dockerfile's own COPY lines."""
    folder = tmp_path_factory.mktemp("image")
    ignored = shutil.ignore_patterns("__pycache__")
    for source in copied():
        target = folder / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=ignored)
        else:
            shutil.copy(ROOT / source, target)
    return folder


def copied():
    return re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_docker_sees_what_it_copies_and_no_more():
    seen = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(seen) == sorted(copied())


def test_image_collects_its_static_files(image):
    environ = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "gyrinx.settings_build"}
    command = [sys.executable, "manage.py", "collectstatic", "--no-input"]
    subprocess.run(command, cwd=image, env=environ, check=True, capture_output=True)
    assert list((image / "var/static").glob("core/site.*.css"))


def test_image_installs_whatever_is_imported():
    imported = {
        name.partition(".")[0]
        for name in grimp.build_graph(
            "asgi_tasks", "gyrinx", include_external_packages=True, cache_dir=None
        ).modules
    }
    # asgi_tasks.testing, which brings pytest, is imported by tests alone.
    ours = {"asgi_tasks", "gyrinx", "pytest"}
    distributions = packages_distributions()
    lock = (ROOT / "requirements/site.txt").read_text()
    locked = {normal(name) for name in re.findall(r"^([\w.-]+)", lock, re.MULTILINE)}
    missing = {
        name
        for name in imported - ours - sys.stdlib_module_names
        if not {normal(d) for d in distributions.get(name, [name])} & locked
    }
    assert missing == set()


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()
