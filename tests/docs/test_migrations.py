"""The how-tos that lead here from something else, followed in projects that they begin with."""

import re
import sys
import urllib.error
import urllib.request

import pytest
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from tests.processes import free_port, running, wait_until_listening
from tests.sites import Site

from .pages import Project, blocks

PROJECT = "projects/my-project"
SETTINGS = """
import os
SECRET_KEY = "shop" * 20
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = [
    "shop",
]
"""
# In production the page's own options hold; here they lead to this machine.
LAPTOP = """
if "SERVICE_URL" in os.environ:
    TASKS["default"]["OPTIONS"]["service_url"] = os.environ["SERVICE_URL"]
    TASKS["default"]["OPTIONS"]["certs_url"] = os.environ["CERTS_URL"]
"""
ASGI = """from django.core.asgi import get_asgi_application

application = get_asgi_application()
"""
RECEIPTS = """
import os

def send(order_id):
    with open(os.environ["RECEIPTS"], "a") as file:
        file.write(f"{order_id}\\n")
"""
# As its README says: https://pypi.org/project/django-tasks-pubsub/
DJANGO_TASKS_PUBSUB = {
    "shop/__init__.py": "",
    "shop/asgi.py": ASGI,
    "shop/settings.py": SETTINGS.replace('    "shop"', '    "django_tasks_pubsub",\n    "shop"')
    + """
PUBSUB_CACHE_PREFIX = "shop"
PUBSUB_DEFAULT_TOPIC_ID = "shop-tasks"
PUBSUB_PROJECT_ID = "my-project"
TASKS = {
    "default": {
        "BACKEND": "django_tasks_pubsub.PubSubBackend",
    }
}
"""
    + LAPTOP,
    "shop/urls.py": """from django.urls import include, path

urlpatterns = [
    path("", include("django_tasks_pubsub.urls")),
]
""",
    "shop/tasks.py": """from django.tasks import task
from django_tasks_pubsub import pubsub_task


@task
def send_email(user_id):
    print(f"Sending email to {user_id}")


@task
@pubsub_task(topic_id="images")
def resize_image(image_id: int):
    return image_id
""",
}
PUSH_VIEW = {
    "shop/__init__.py": "",
    "shop/asgi.py": ASGI,
    "shop/receipts.py": RECEIPTS,
    "shop/settings.py": SETTINGS,
    "shop/urls.py": """from django.urls import path
from shop import views

urlpatterns = [
    path("order/<int:number>/", views.order),
    path("pubsub/receipts/", views.receipts),
]
""",
}
# What the page leaves to "Use asgi_tasks".
INSTALLED = """
INSTALLED_APPS += ["asgi_tasks"]
TASKS = {"default": {"BACKEND": "asgi_tasks.backends.PubSubBackend", "OPTIONS": {
    "project_id": "my-project", "environment": "prod", "topic_prefix": "shop",
    "routes": "shop.task_routes", "service_url": "https://shop.example",
    "push_service_account": "pubsub-invoker@my-project.iam.gserviceaccount.com",
}}}
"""
ENQUEUE = """
import django
django.setup()
from shop.tasks import resize_image, send_email
print(send_email.enqueue(7).id, resize_image.enqueue(image_id=42).id)
"""


class Shop(Project):
    """A shop behind the emulator."""

    def __init__(self, folder, files, emulator):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.emulator = emulator
        super().__init__(
            folder,
            files,
            DJANGO_SETTINGS_MODULE="shop.settings",
            PUBSUB_EMULATOR_HOST=emulator.host,
            SERVICE_URL=self.url,
            CERTS_URL=f"{emulator.url}/oauth2/v1/certs",
            RECEIPTS=str(folder / "receipts"),
        )

    def shell(self, command):
        if "check --deploy" in command:  # of the settings as they are in production
            command = f"env -u SERVICE_URL {command}"
        return super().shell(command)

    def running(self):
        command = (sys.executable, "-m", "asgi_tasks.server", "-p", self.port)
        return running(*command, "shop.asgi:application", env=self.env)

    def until_listening(self, process):
        wait_until_listening(process, self.url)
        return Site(process, self.url, self.emulator, self.folder / "none")

    def order(self, number):
        with urllib.request.urlopen(f"{self.url}/order/{number}/", timeout=60) as response:
            assert response.read() == b"Thank you."

    def receipts(self):
        path = self.folder / "receipts"
        return path.read_text().split() if path.exists() else []

    def pushed_orders(self):
        """The subscription and state of every message."""
        return [(m.subscription.rpartition("/")[2], m.state) for m in self.emulator.messages()]


def steps(page, shop):
    """Follow a page section by section: each next() does what one says."""
    section = None
    for block in blocks(page):
        if section not in (None, block.section):
            yield section
        section = block.section
        shop.follow(block)
    yield section


def test_site_of_django_tasks_pubsub_becomes_one_of_ours(tmp_path, emulator):
    shop = Shop(tmp_path, DJANGO_TASKS_PUBSUB, emulator)
    page = list(blocks("how-to/migrate-from-django-tasks-pubsub.md"))
    # Between its steps the former package is needed, which is not installed here.
    for block in sorted(page, key=lambda block: "manage.py" in block.text):
        shop.follow(block)
    with shop.running() as process:
        site = shop.until_listening(process)
        ids = shop.shell(f"python -c '{ENQUEUE}'").split()
        records = site.wait_until_settled(*ids)
    topics = [record["topic"].rpartition("/")[2] for record in records]
    assert topics == ["prod-shop-send-email", "prod-shop-resize-image"]
    assert [[d["status"] for d in record["deliveries"]] for record in records] == [[204], [204]]
    assert [call.split()[:5] for call in shop.gcloud.typed] == [
        ["pubsub", "subscriptions", "delete", "shop-tasks-sub", "images-sub"],
        ["pubsub", "topics", "delete", "shop-tasks", "images"],
    ]


def test_page_leaves_nothing_of_django_tasks_pubsub(tmp_path, emulator):
    shop = Shop(tmp_path, DJANGO_TASKS_PUBSUB, emulator)
    for block in blocks("how-to/migrate-from-django-tasks-pubsub.md"):
        if block.kind in ("python", "diff"):
            shop.follow(block)
    left = [path.name for path in tmp_path.rglob("*.py") if "pubsub_" in path.read_text().lower()]
    assert left == ["settings.py"]
    assert re.findall(r"\bPUBSUB_\w+", (tmp_path / "shop/settings.py").read_text()) == [
        "PUBSUB_PROJECT_ID",
        "PUBSUB_PROJECT_ID",
    ]


@pytest.fixture(autouse=True)
def empty(emulator):
    emulator.reset()


@pytest.fixture
def receipts(emulator, monkeypatch):
    """The topic that a shop with a push view publishes to, and a function that publishes."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
    topic = f"{PROJECT}/topics/receipts"
    with PublisherClient() as publisher, SubscriberClient() as subscriber:
        publisher.create_topic(name=topic)

        def push_to(url):
            request = {
                "name": f"{PROJECT}/subscriptions/receipts-push",
                "topic": topic,
                "push_config": {"push_endpoint": f"{url}/pubsub/receipts/"},
                "retry_policy": {"minimum_backoff": {"seconds": 10}},
            }
            subscriber.create_subscription(request=request)

        def publish(number):
            publisher.publish(topic, b'{"order_id": %d}' % number).result(60)

        yield push_to, publish


def test_push_view_becomes_a_task_and_no_order_is_lost(tmp_path, emulator, receipts):
    push_to, publish = receipts
    shop = Shop(tmp_path, PUSH_VIEW, emulator)
    push_to(shop.url)
    page = steps("how-to/migrate-from-a-push-view.md", shop)

    assert next(page) == "Before"
    with shop.running() as process:
        site = shop.until_listening(process)
        shop.order(1)
        site.wait_until(lambda: shop.receipts() == ["1"])
    publish(2)  # waits, as nobody serves

    shop.write("shop/settings.py", (tmp_path / "shop/settings.py").read_text() + INSTALLED + LAPTOP)
    assert next(page) == "1. The task beside the view"
    with shop.running() as process:
        site = shop.until_listening(process)
        publish(3)  # by a revision that is still the former one
        shop.order(4)
        site.wait_until(lambda: sorted(shop.receipts()) == ["1", "2", "3", "4"])

    assert next(page) == "2. Drain, then take the view away"
    with shop.running() as process:
        site = shop.until_listening(process)
        shop.order(5)
        site.wait_until(lambda: shop.receipts()[-1] == "5")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{shop.url}/pubsub/receipts/", data=b"{}", timeout=60)
        site.wait_until(lambda: {state for _, state in shop.pushed_orders()} == {"acknowledged"})
    ways = [subscription for subscription, _ in shop.pushed_orders()]
    assert sorted(ways) == 2 * ["prod-shop-send-receipt-sub"] + 3 * ["receipts-push"]
    assert [call.split()[:4] for call in shop.gcloud.typed] == [
        ["pubsub", "subscriptions", "delete", "receipts-push"],
        ["pubsub", "topics", "delete", "receipts"],
    ]
