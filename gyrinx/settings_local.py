"""The production loop on a laptop: Pub/Sub's emulator pushes to this server."""

import os

import dj_database_url

from asgi_tasks.logs import cloud_logging

from .settings import *  # noqa: F403
from .settings import MIDDLEWARE, VAR, sqlite_database
from .settings_base import email_settings, with_static_files

# Google's clients read this variable themselves.
EMULATOR = os.environ.setdefault("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085")

TASKS = {
    "default": {
        "BACKEND": "asgi_tasks.backends.PubSubBackend",
        "OPTIONS": {
            "project_id": "gyrinx-local",
            "environment": "dev",
            "topic_prefix": "gyrinx-tasks",
            "routes": "gyrinx.task_routes",
            "service_url": os.environ.get("TASKS_SERVICE_URL", "http://127.0.0.1:8000"),
            "push_service_account": "pubsub-invoker@gyrinx-local.iam.gserviceaccount.com",
            "certs_url": f"http://{EMULATOR}/oauth2/v1/certs",
            "service_timeout": 600,
        },
    }
}

if os.environ.get("DATABASE_URL"):
    DATABASES = {"default": dj_database_url.config()}
else:
    DATABASES = {"default": sqlite_database(VAR / "local.sqlite3")}

MIDDLEWARE = with_static_files(MIDDLEWARE)
WHITENOISE_USE_FINDERS = True  # straight from the source, without collectstatic

globals().update(email_settings("filebased", file_path=VAR / "mail"))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname:7} {name}: {message}", "style": "{"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django.channels.server": {"level": "WARNING"},  # a line for each push otherwise
    },
}
if os.environ.get("LOG_FORMAT") == "json":  # as in production
    LOGGING = cloud_logging("gyrinx-local", loggers={"asgi_tasks": {"level": "DEBUG"}})
