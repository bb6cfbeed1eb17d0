import itertools

import pytest
from django.tasks.backends.base import BaseTaskBackend

from asgi_tasks import EnqueueRefused
from gyrinx.core.models import Campaign, Fighter, Gang, User

PASSWORD = "a long enough passphrase"


class RefusingBackend(BaseTaskBackend):
    """Pub/Sub cannot be reached."""

    supports_async_task = True

    def enqueue(self, task, args, kwargs):
        raise EnqueueRefused("Pub/Sub did not answer.")


@pytest.fixture(autouse=True)
def _files_go_to_a_temporary_folder(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def pubsub_down(settings):
    settings.TASKS = {"default": {"BACKEND": f"{__name__}.RefusingBackend"}}


class Makers:
    """Rows with as little said about them as the test needs."""

    def __init__(self):
        self.numbers = itertools.count(1)

    def user(self, username=None, **fields):
        username = username or f"player{next(self.numbers)}"
        fields.setdefault("email", f"{username}@example.com")
        return User.objects.create_user(username, password=PASSWORD, **fields)

    def campaign(self, **fields):
        fields.setdefault("name", f"Campaign {next(self.numbers)}")
        fields["owner"] = fields.get("owner") or self.user()
        return Campaign.objects.create(**fields)

    def gang(self, *fighters, **fields):
        """Each fighter is given as (cost, xp)."""
        fields.setdefault("name", f"Gang {next(self.numbers)}")
        fields["owner"] = fields.get("owner") or self.user()
        gang = Gang.objects.create(**fields)
        for cost, xp in fighters:
            name = f"Fighter {next(self.numbers)}"
            Fighter.objects.create(gang=gang, name=name, cost=cost, xp=xp, kills=1)
        return gang


@pytest.fixture
def make():
    return Makers()


@pytest.fixture
def player(transactional_db, make):
    """Committing for real, so that on_commit hooks run as they do on the site."""
    return make.user("player")


@pytest.fixture
def pages(client, player):
    """A browser without JavaScript in which the player has logged in."""
    client.force_login(player)
    return client
