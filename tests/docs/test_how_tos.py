"""The how-tos that have no module of their own, followed block by block."""

import re
import subprocess
import sys

import pytest
import yaml
from django.test import override_settings

from asgi_tasks.conf import parse_options
from tests.processes import ROOT, free_port, running, wait_until_listening
from tests.sites import Site
from tests.tooling.gcloud import find_sdk, lint

from .pages import Project, blocks
from .test_readme import LAPTOP, SETTINGS

OPTIONS = {
    "project_id": "my-project",
    "routes": "tests.site.task_routes",
    "service_url": "https://shop.example",
    "push_service_account": "pubsub-invoker@my-project.iam.gserviceaccount.com",
}
MYSITE = {
    "mysite/__init__.py": "",
    "mysite/orders/__init__.py": "",
    "mysite/orders/tasks.py": """
from django.tasks import task

@task
def send_receipt(order_id):
    return f"receipt of order {order_id}"
""",
    "mysite/settings.py": """
import os
SECRET_KEY = "mysite" * 20
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "mysite.urls"
ASGI_APPLICATION = "mysite.asgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
""",
    "mysite/asgi.py": """
from django.core.asgi import get_asgi_application

application = get_asgi_application()
""",
    "mysite/urls.py": "urlpatterns = []\n",
}
ENQUEUE_ON_COMMIT = """
import django
django.setup()
from types import SimpleNamespace
from django.db import transaction
from django.tasks.signals import task_enqueued
from mysite.orders.tasks import send_receipt

def show(task_result, **kwargs):
    print(task_result.id)

task_enqueued.connect(show)
order = SimpleNamespace(id=42)
with transaction.atomic():
{}
    print("committing")
"""


def environment(emulator, package):
    port = free_port()
    return port, {
        "DJANGO_SETTINGS_MODULE": f"{package}.settings",
        "PUBSUB_EMULATOR_HOST": emulator.host,
        "CERTS_URL": f"{emulator.url}/oauth2/v1/certs",
        "SERVICE_URL": f"http://127.0.0.1:{port}",
    }


def served(project, command, port):
    """The server that a page starts: its command, at another address."""
    shown = command.replace("0.0.0.0", "127.0.0.1").replace("8080", str(port))
    assert shown != command
    return running(sys.executable, *shown.split()[1:], env=project.env)


@pytest.fixture(autouse=True)
def empty(emulator):
    emulator.reset()


def server_command():
    (block,) = [block for block in blocks("reference/server.md") if block.kind == "console"]
    ((command, _),) = block.commands
    return command


@pytest.mark.parametrize("endpoint", ["asgi", "urls"])
def test_installed_in_a_project_it_runs_a_task(tmp_path, emulator, endpoint):
    port, env = environment(emulator, "mysite")
    site = Project(tmp_path, MYSITE, **env)
    apps, routes, asgi, urls, tasks, grants, on_commit = blocks("how-to/install.md")
    names = '"django.contrib.contenttypes", "django.contrib.auth", "mysite.orders"'
    settings = [site.read("mysite/settings.py"), apps.text.replace("...", names), tasks.text]
    site.write("mysite/settings.py", "".join(settings) + LAPTOP)
    site.follow(routes)
    if endpoint == "asgi":
        site.write("mysite/asgi.py", asgi.text)
    else:
        imports = "from django.urls import include, path\n"
        site.write("mysite/urls.py", f"{imports}urlpatterns = [{urls.text.strip()}]\n")
    site.follow(grants)
    assert "serviceAccountTokenCreator" in site.gcloud.typed[-1]
    site.shell("python manage.py check")
    site.shell("python manage.py provision_tasks")
    with served(site, server_command(), port) as process:
        wait_until_listening(process, env["SERVICE_URL"])
        indented = re.sub("^", "    ", on_commit.text, flags=re.MULTILINE)
        site.write("enqueue.py", ENQUEUE_ON_COMMIT.replace("{}", indented))
        first, task_id = site.shell("python enqueue.py").split()
        assert first == "committing"
        (record,) = Site(process, "", emulator, tmp_path).wait_until_settled(task_id)
        process.wait_for('result="receipt of order 42"')
    assert [delivery["status"] for delivery in record["deliveries"]] == [204]


def test_task_that_was_added_runs(tmp_path, emulator):
    port, env = environment(emulator, "shop")
    shop = Project(tmp_path, {"shop/__init__.py": "", **readme_files()}, **env)
    settings = SETTINGS + shop.read("shop/settings.py") + LAPTOP
    shop.write("shop/settings.py", settings)
    shop.shell("python manage.py provision_tasks")
    added, imported, routed, checked, enqueued = blocks("how-to/add-a-task.md")
    for block in (added, imported, routed, checked):
        shop.follow(block)
    shop.shell("python manage.py provision_tasks")
    in_async, in_sync = enqueued.text.splitlines()
    with served(shop, server_command().replace("mysite", "shop"), port) as process:
        wait_until_listening(process, env["SERVICE_URL"])
        shop.write("enqueue.py", enqueuing(in_async, in_sync))
        ids = shop.shell("python enqueue.py").split()
        records = Site(process, "", emulator, tmp_path).wait_until_settled(*ids)
        for task_id in ids:
            process.wait_for(f'"idempotency_key": "{task_id}"')
    assert [[d["status"] for d in record["deliveries"]] for record in records] == [[204], [204]]


def readme_files():
    """What the README shows, by the comment that each file begins with."""
    texts = [block.text for block in blocks("../README.md") if block.kind == "python"]
    found = (re.match(r"# (shop/\S+\.py)", text) for text in texts)
    return {name[1]: name.string for name in found if name}


def enqueuing(in_async, in_sync):
    call = in_async.partition("#")[0]
    return f"""
import asyncio, django
django.setup()
from shop.tasks import book_courier

async def main():
    result = {call}
    print(result.id)

asyncio.run(main())
print({in_sync.partition("#")[0]}.id)
"""


def test_new_key_signs_and_the_former_one_verifies(monkeypatch):
    for name in ("TASKS_KEY", "SECRET_KEY"):
        monkeypatch.setenv(name, "new")
        monkeypatch.setenv(f"{name}_BEFORE", "former")
    of_its_own, of_django = blocks("how-to/rotate-the-signing-key.md")
    names = {"os": __import__("os")}
    options = eval(f"{{{of_its_own.text}}}", names)
    assert tuple(parse_options(OPTIONS | options).signing_keys) == ("new", "former")
    exec(of_django.text, names)
    keys = {name: names[name] for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS")}
    with override_settings(**keys):
        assert tuple(parse_options(OPTIONS).signing_keys) == ("new", "former")


@pytest.fixture
def typed(tmp_path):
    """The calls of gcloud when the commands of a page are typed one after the other."""

    def typed(page, **answers):
        project = Project(tmp_path, {}, DJANGO_SETTINGS_MODULE="bin.none")
        for part, answer in answers.items():
            project.gcloud.answers(part, stdout=answer)
        consoles = [block for block in blocks(page) if block.kind == "console"]
        lines = [command for block in consoles for command, _ in block.commands]
        project.shell("set -eu\n" + "\n".join(lines))
        return project.gcloud.typed

    return typed


def test_service_for_pushes_has_what_the_site_has(typed):
    answers = {"projects describe": "123\n", "services describe": "the-image\n"}
    calls = typed("how-to/serve-pushes-separately.md", **answers)
    (deploy,) = [call for call in calls if call.startswith("run deploy")]
    flags = dict(word[2:].partition("=")[::2] for word in deploy.split() if word.startswith("--"))
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    (step,) = [step for step in build["steps"] if step["id"] == "deploy"]
    of_site = dict(word[2:].partition("=")[::2] for word in step["args"] if word.startswith("--"))
    assert flags["image"] == "the-image"
    assert flags["service-account"].startswith("gyrinx-site@")
    assert names_of(flags["set-env-vars"]) == names_of(
        of_site["set-env-vars"].replace("${_SETTINGS}", build["substitutions"]["_SETTINGS"])
    )
    assert flags["set-secrets"] == of_site["set-secrets"].replace(
        "${_SECRETS}", build["substitutions"]["_SECRETS"]
    )
    for probe in ("startup-probe", "liveness-probe", "timeout", "concurrency"):
        assert flags[probe] == of_site[probe]


def names_of(variables):
    return {variable.partition("=")[0] for variable in variables.split(",")}


def test_service_for_pushes_is_where_they_are_led_to(typed):
    answers = {"projects describe": "123\n", "services describe": "the-image\n"}
    calls = typed("how-to/serve-pushes-separately.md", **answers)
    host = "gyrinx-tasks-123.europe-west1.run.app"
    (deploy,) = [call for call in calls if call.startswith("run deploy")]
    assert f"TASKS_SERVICE_URL=https://{host}," in deploy
    assert f"ALLOWED_HOSTS={host}," in deploy
    assert calls[-1].endswith(f"--update-env-vars=TASKS_SERVICE_URL=https://{host}")


def pages():
    return sorted(path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))


def test_every_target_that_a_page_names_is_one_of_make():
    named = {
        target
        for page in [*pages(), "../README.md", "../SECURITY.md"]
        for target in re.findall(r"[`\n]make ([a-z-]+)", (ROOT / "docs" / page).read_text())
    }
    assert named > {"demo", "test", "check"}
    done = subprocess.run(
        ["make", "-n", *sorted(named)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_commands_of_the_how_to_for_developers_are_known_to_make():
    for block in blocks("how-to/develop.md"):
        for line in block.text.splitlines():
            command = line.partition("#")[0].replace("make ", "make -n ", 1)
            done = subprocess.run(
                command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            assert " -m tests.tooling.run" in done.stdout


# Not skipped elsewhere but left out: a machine without gcloud has nothing to say here.
if find_sdk():

    def test_gcloud_itself_knows_every_command_of_the_pages(tmp_path):
        commands = {
            # Variables and other programs are the shell's.
            re.sub(r"\$\(.*?\)|\$\{.*?\}|\$\w+", "x", command[command.index("gcloud ") :])
            .partition(" | ")[0]
            .rstrip(")")
            for page in pages()
            for block in blocks(page)
            if block.kind == "console"
            for command, _ in block.commands
            if "gcloud " in command
        }
        assert len(commands) > 50
        assert lint(sorted(commands), tmp_path) == []
