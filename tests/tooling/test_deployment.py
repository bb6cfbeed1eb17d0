"""Dockerfile, .dockerignore and cloudbuild.yaml fit the site, as far as tests can tell."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import packages_distributions
from pathlib import Path
from string import Template

import grimp
import psycopg
import pytest
import yaml

from asgi_tasks.capacity import Service, estimate
from gyrinx import health
from tests.postgres import postgres
from tests.processes import ROOT

from .dockerfile import Builder, instructions
from .gcloud import find_sdk, lint, load_build

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

REQUIRED = {
    "DJANGO_SETTINGS_MODULE": "gyrinx.settings_prod",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQR",
    "ALLOWED_HOSTS": "gyrinx.example",
    "GCP_PROJECT_ID": "my-project",
    "TASKS_SERVICE_URL": "https://gyrinx.example",
    "TASKS_SERVICE_ACCOUNT": "pubsub-invoker@my-project.iam.gserviceaccount.com",
    "EMAIL_HOST": "localhost",
}
ASK = "from django.db import connection; connection.ensure_connection()"


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


def test_every_substitution_is_used_and_declared(build):
    text = (ROOT / "cloudbuild.yaml").read_text()
    used = {name for name in re.findall(r"\$\{(\w+)\}", text) if name not in BUILT_IN}
    assert used == build["substitutions"].keys()
    assert all(re.fullmatch(r"_[A-Z0-9_]+", name) for name in used)


def test_steps_have_ids_of_their_own(build):
    ids = [step["id"] for step in build["steps"]]
    assert len(set(ids)) == len(ids)


def test_what_deploy_gives_is_declared(build):
    script = (ROOT / "docker" / "deploy.sh").read_text()
    given = set(re.findall(r"[=,](_[A-Z_]+)=", script))
    assert given < build["substitutions"].keys()


def test_steps_come_in_order(build):
    assert [step["id"] for step in build["steps"]] == [
        *("build", "push", "prepare", "deploy", "traffic"),
    ]
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


@pytest.mark.parametrize(
    ("name", "path"), [("startup", "/health/ready"), ("liveness", "/health/live")]
)
def test_probe_asks_where_the_site_answers(step, name, path):
    probe = pairs(flag(step("deploy"), f"{name}-probe"))
    assert (probe["httpGet.path"], probe["httpGet.port"]) == (path, "8080")
    assert f'"{path}"' in (ROOT / "gyrinx" / "health.py").read_text()
    # Cloud Run's limits.
    assert int(probe["timeoutSeconds"]) <= int(probe["periodSeconds"]) <= 240
    assert int(probe["failureThreshold"]) * int(probe["periodSeconds"]) <= 240


def test_probe_waits_longer_than_the_site_asks_its_database(step):
    probe = pairs(flag(step("deploy"), "startup-probe"))
    assert int(probe["timeoutSeconds"]) > health.PATIENCE


def test_connections_of_two_revisions_fit_the_database(step):
    deploy = step("deploy")
    pool = int(pairs(flag(deploy, "set-env-vars"))["DATABASE_POOL_MAX"])
    script = (ROOT / "docker" / "setup-project.sh").read_text()
    allowed = int(re.search(r"max_connections=(\d+)", script)[1])
    service = Service(
        kind="sync",
        task_seconds=1,
        concurrency=int(flag(deploy, "concurrency")),
        max_instances=int(flag(deploy, "max-instances")),
        pool_size=pool,
        database_connections=allowed,
        ack_deadline=600,
        deadline=595,
        service_timeout=int(flag(deploy, "timeout")),
    )
    assert estimate(service).warnings == ()


def test_traffic_moves_last_and_to_the_newest(step):
    assert step("traffic")[:4] == ["run", "services", "update-traffic", "gyrinx"]
    assert "--to-latest" in step("traffic")


@pytest.fixture
def short_path():
    """A folder for sockets, whose paths have 107 bytes at the most."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_database_url_leads_through_cloud_runs_socket(short_path):
    script = (ROOT / "docker" / "setup-project.sh").read_text()
    template = re.search(r'printf %s "(postgres://[^"]+)"', script)[1]
    socket = short_path / "my-project:europe-west1:gyrinx"
    values = {"PASSWORD": "x", "socket": str(socket)}
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": Template(template).substitute(values).replace("//gyrinx", "//tests"),
        **REQUIRED,
    }
    with postgres() as url, psycopg.connect(url, autocommit=True) as server:
        server.execute("CREATE DATABASE gyrinx")
        socket.mkdir()
        [folder] = server.execute("SHOW unix_socket_directories").fetchone()
        (socket / ".s.PGSQL.5432").symlink_to(f"{folder}/.s.PGSQL.{server.info.port}")
        command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", ASK]
        done = subprocess.run(command, cwd=ROOT, env=environ, check=False, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()


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


def test_check_image_knows_every_instruction():
    keywords = {keyword for keyword, _ in instructions((ROOT / "Dockerfile").read_text())}
    assert [k for k in keywords if not hasattr(Builder, f"_{k.lower()}")] == []


def test_continued_lines_are_one_instruction():
    text = "# about\nRUN one \\\n    # why\n    && two\n\nUSER 1\n"
    assert list(instructions(text)) == [("RUN", "one && two"), ("USER", "1")]


def test_image_collects_its_static_files(image):
    environ = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "gyrinx.settings_build"}
    command = [sys.executable, "manage.py", "collectstatic", "--no-input"]
    subprocess.run(command, cwd=image, env=environ, check=True, capture_output=True)
    assert list((image / "var/static").glob("core/site.*.css"))


def test_image_installs_whatever_is_imported():
    graph = grimp.build_graph(
        "asgi_tasks", "gyrinx", include_external_packages=True, cache_dir=None
    )
    # asgi_tasks.testing is for tests: nothing in the image imports it, a contract says.
    importers = {m for m in graph.modules if not m.startswith("asgi_tasks.testing")}
    imported = {
        name.partition(".")[0]
        for importer in importers
        for name in graph.find_modules_directly_imported_by(importer)
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


# Not skipped elsewhere but left out: a machine without gcloud has nothing to say here.
if find_sdk():

    def test_gcloud_itself_accepts_the_build():
        assert load_build(ROOT / "cloudbuild.yaml") == ""

    def test_gcloud_itself_refuses_an_unknown_field(tmp_path):
        text = (ROOT / "cloudbuild.yaml").read_text()
        (tmp_path / "wrong.yaml").write_text(text.replace("\ntimeout:", "\ntimeuot:"))
        assert "timeuot: unused" in load_build(tmp_path / "wrong.yaml")

    @pytest.mark.parametrize("name", [*STARTS, "traffic"])
    def test_gcloud_itself_knows_the_flags_of_a_step(step, tmp_path, name):
        assert lint([shlex.join(["gcloud", *step(name)])], tmp_path) == []
