"""The how-tos about tests: their files, as they stand there; the reference of the helpers."""

import inspect
import os
import re
import subprocess
import sys
from typing import is_typeddict

import pytest

from asgi_tasks import testing
from asgi_tasks.testing import EmulatorOptions, TaskTestMixin, plugin
from tests.processes import ROOT, free_port
from tests.site import tasks
from tests.sockets import refuse_sockets

from .test_readme import SETTINGS, readme

EMULATOR_PAGE = ROOT / "docs" / "how-to" / "test-with-the-emulator.md"
PAGE = ROOT / "docs" / "how-to" / "test-your-tasks.md"
REFERENCE = (ROOT / "docs" / "reference" / "testing.md").read_text()
BLOCK = re.compile(r"```(?:python|toml)\n# (\S+\.(?:py|toml))[^\n]*\n(.*?)```", re.DOTALL)
# What the reader of test-your-tasks.md has already: a site with the settings of development.
SITE = {
    "shop/__init__.py": "",
    "shop/settings.py": """
SECRET_KEY = "shop"
INSTALLED_APPS = ["django.contrib.contenttypes", "asgi_tasks", "shop"]
ROOT_URLCONF = "shop.urls"
ASGI_APPLICATION = "shop.asgi.application"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend"}}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
""",
    "shop/urls.py": """
from django.urls import path
from shop import views
urlpatterns = [
    path("pay/<int:order_id>/", views.pay),
    path("book/<int:order_id>/", views.book_order),
]
""",
    "shop/task_routes.py": """
from asgi_tasks import TaskRoute
from shop.tasks import book, send_receipt
task_routes = [TaskRoute(send_receipt), TaskRoute(book)]
""",
    "shop/asgi.py": """
from django.core.asgi import get_asgi_application
from asgi_tasks.asgi import PushEndpoint
application = PushEndpoint(get_asgi_application())
""",
    "pyproject.toml": """
[tool.pytest.ini_options]
DJANGO_SETTINGS_MODULE = "shop.settings"
asyncio_mode = "auto"
""",
}


def write(folder, files):
    for path, text in files:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)


def run(folder, *command, **variables):
    """What Python printed, once it has succeeded."""
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=env | {"PYTHONPATH": f"{folder}:{ROOT}"} | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def pytest_of(folder):
    # Where the library is installed, pytest finds the plugin by itself.
    command = ("-m", "pytest", "-p", "asgi_tasks.testing.plugin", "-v")
    return run(folder, *command, "-W", "error", "-o", "asyncio_default_fixture_loop_scope=function")


@pytest.fixture
def shop(tmp_path):
    """The shop of the README, and the files of test-with-the-emulator.md beside it."""
    port = str(free_port())
    found = BLOCK.findall(readme()) + BLOCK.findall(EMULATOR_PAGE.read_text())
    write(tmp_path, [("shop/__init__.py", ""), *found])
    for path in tmp_path.rglob("*.py"):
        path.write_text(path.read_text().replace("8123", port))
    settings = tmp_path / "shop" / "settings.py"
    settings.write_text(SETTINGS + settings.read_text())
    return tmp_path


def test_example_runs(shop):
    assert "3 passed" in pytest_of(shop)


def test_example_of_tests_in_process_runs(tmp_path):
    """Without a socket."""
    write(tmp_path, [*SITE.items(), *BLOCK.findall(PAGE.read_text())])
    refuse_sockets(tmp_path)
    assert "12 passed" in pytest_of(tmp_path)


def test_example_of_a_test_case_runs_under_django(tmp_path):
    write(tmp_path, [*SITE.items(), *BLOCK.findall(PAGE.read_text())])
    command = ("-m", "django", "test", "test_cases")
    assert "Ran 3 tests" in run(tmp_path, *command, DJANGO_SETTINGS_MODULE="shop.settings")


def test_failure_is_shown_as_it_is(task_outbox):
    tasks.fail_twice.enqueue(key=42)
    with pytest.raises(AssertionError) as failure:
        task_outbox.assert_enqueued(tasks.fail_twice, key=43)
    said = str(failure.value).replace("key", "order_id")
    said = said.replace("tests.site.tasks.fail_twice", "shop.tasks.send_receipt")
    assert f"```text\nAssertionError: {said}\n```" in PAGE.read_text()


def test_options_named_are_options():
    named = set(re.findall(r'"(\w+)": [\w.]+[,}]', EMULATOR_PAGE.read_text()))
    assert named <= EmulatorOptions.__annotations__.keys()


# The reference


def as_shown(name, function):
    """assert_enqueued(task, *args, count=None, **kwargs)"""
    signature = inspect.signature(function)
    bare = [
        parameter.replace(annotation=parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name not in ("self", "log")
    ]
    return f"{name}{signature.replace(parameters=bare, return_annotation=signature.empty)}"


def members(name):
    """What the reference has to show of a public name."""
    value = getattr(testing, name)
    if is_typeddict(value):
        yield from value.__annotations__
    elif inspect.isclass(value):
        for member, found in vars(value).items():
            if not member.startswith("_") and member != "setUp":
                yield as_shown(member, found) if inspect.isfunction(found) else member
    elif inspect.isfunction(value):
        yield as_shown(name, value)


@pytest.mark.parametrize("name", testing.__all__)
def test_reference_has_every_public_name_and_how_it_is_called(name):
    assert re.search(rf"^\| `{name}\b|^## {name}$", REFERENCE, re.MULTILINE)
    assert [shown for shown in members(name) if f"`{shown}`" not in REFERENCE] == []


def test_reference_has_every_fixture():
    source = inspect.getsource(plugin)
    fixtures = re.findall(r"@pytest\.fixture.*\ndef ([a-z]\w+)\(", source)
    assert "task_outbox" in fixtures
    section = re.split(r"^## ", REFERENCE, flags=re.MULTILINE)[1]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(fixtures)


def test_mixin_does_what_the_outbox_does():
    for name in ("run_enqueued", "arun_enqueued"):
        mixin, outbox = getattr(TaskTestMixin, name), getattr(testing.TaskOutbox, name)
        assert as_shown(name, mixin) == as_shown(name, outbox)
