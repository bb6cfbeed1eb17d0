"""A small site for the library's own tests; the integration tests start it in processes."""

import os

import dj_database_url

from asgi_tasks.logs import cloud_logging

SECRET_KEY = "tests-only"  # not secret: nothing here is reachable from outside
USE_TZ = True
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
INSTALLED_APPS = [
    "daphne",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "asgi_tasks",
    "tests.site",
]
ROOT_URLCONF = "tests.site.urls"
ASGI_APPLICATION = "tests.site.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": dj_database_url.config(default="sqlite://:memory:")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {"timeout": 20, "transaction_mode": "IMMEDIATE"}

TASKS = {
    "default": {
        "BACKEND": "asgi_tasks.backends.PubSubBackend",
        "OPTIONS": {
            "project_id": "tests",
            "environment": "test",
            "topic_prefix": "site",
            "routes": os.environ.get("TESTS_ROUTES", "tests.site.task_routes"),
            "service_url": os.environ.get("TESTS_SERVICE_URL", "http://127.0.0.1:1"),
            "push_service_account": "pusher@tests.iam.gserviceaccount.com",
            "certs_url": os.environ.get("TESTS_CERTS_URL", "http://127.0.0.1:1/oauth2/v1/certs"),
            "publish_timeout": 5,
            "threads": int(os.environ.get("TESTS_THREADS", "8")),
        },
    }
}
if keys := os.environ.get("TESTS_SIGNING_KEYS"):
    TASKS["default"]["OPTIONS"]["signing_key"] = keys.split(",")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    # Daphne's command gives the root logger a handler too.
    "loggers": {"asgi_tasks": {"handlers": ["console"], "level": "INFO", "propagate": False}},
}
if os.environ.get("TESTS_LOGGING") == "cloud":
    LOGGING = cloud_logging("tests", loggers={"asgi_tasks": {"level": "DEBUG"}})
