"""Development: `python manage.py runserver` and nothing else. Tasks run at once, in the request."""

import os
from pathlib import Path

from .settings_base import *  # noqa: F403
from .settings_base import BASE_DIR, REPORT_STORAGE, email_settings

DEBUG = True
SECRET_KEY = "development-only-never-use-this-key-on-a-server"  # noqa: S105
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", ".localhost"]

VAR = Path(os.environ.get("GYRINX_VAR") or BASE_DIR / "var").resolve()
VAR.mkdir(parents=True, exist_ok=True)
MEDIA_ROOT = VAR / "media"


def sqlite_database(path):
    """SQLite for several threads: writers wait for each other, readers for nobody."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


DATABASES = {"default": sqlite_database(VAR / "db.sqlite3")}
STORAGES = {
    "default": REPORT_STORAGE,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}

globals().update(email_settings("console"))
DEFAULT_FROM_EMAIL = "Gyrinx <gyrinx@localhost>"
