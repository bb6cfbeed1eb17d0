"""The README's example, as it stands there, in a project of its own."""

import re
import sys

import pytest

from tests.processes import ROOT, free_port, python, running, wait_until_listening
from tests.sites import Site

SETTINGS = """
import os
SECRET_KEY = "readme"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["daphne", "asgi_tasks", "shop"]
ROOT_URLCONF = "asgi_tasks.urls"
ASGI_APPLICATION = "shop.asgi.application"
"""
LAPTOP = """
TASKS["default"]["OPTIONS"]["service_url"] = os.environ["SERVICE_URL"]
TASKS["default"]["OPTIONS"]["certs_url"] = os.environ["CERTS_URL"]
"""
ENQUEUE = """
import asyncio, django
django.setup()
from shop.tasks import send_receipt

async def main():
    result = {}
    print(result.id)

asyncio.run(main())
"""


@pytest.fixture
def shop(tmp_path, emulator):
    """The README's files in a package `shop`, and the environment to run it in."""
    blocks = re.findall(r"```python\n# (\S+\.py)[^\n]*\n(.*?)```", readme(), re.DOTALL)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    for path, code in blocks:
        (tmp_path / path).write_text(code)
    settings = tmp_path / "shop" / "settings.py"
    settings.write_text(SETTINGS + settings.read_text() + LAPTOP)
    port = free_port()
    return port, {
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        "PUBSUB_EMULATOR_HOST": emulator.host,
        "CERTS_URL": f"{emulator.url}/oauth2/v1/certs",
        "SERVICE_URL": f"http://127.0.0.1:{port}",
    }


def readme():
    return (ROOT / "README.md").read_text()


def test_example_runs(shop, emulator, tmp_path):
    port, env = shop
    (call,) = re.findall(r"^(await send_receipt\S+)", readme(), re.MULTILINE)
    python("-m", "django", "check", env=env)
    python("-m", "django", "provision_tasks", env=env)
    server = (sys.executable, "-m", "asgi_tasks.server", "-p", port, "shop.asgi:application")
    with running(*server, env=env) as process:
        wait_until_listening(process, env["SERVICE_URL"])
        task_id = python("-c", ENQUEUE.replace("{}", call), env=env).strip()
        site = Site(process, env["SERVICE_URL"], emulator, tmp_path / "none")
        (record,) = site.wait_until_settled(task_id)
        process.wait_for(f'id={task_id} .* result="receipt of order 42"')
    assert [delivery["status"] for delivery in record["deliveries"]] == [204]
