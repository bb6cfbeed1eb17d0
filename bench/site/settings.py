"""As a production site has them."""

import os

import dj_database_url

from asgi_tasks.logs import cloud_logging
from bench.bodies import KEY, PROJECT

SECRET_KEY = KEY
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "bench.site.urls"
INSTALLED_APPS = ["asgi_tasks", "django.contrib.contenttypes", "django.contrib.auth"]
MIDDLEWARE = []
# One line of text a push, as the peer's site writes; BENCH_LOG=json: the JSON of Cloud Logging.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    # Says in two lines what asgi_tasks says in one: docs/how-to/read-the-logs.md
    "loggers": {"django.tasks": {"level": "CRITICAL"}},
}
if os.environ.get("BENCH_LOG") == "json":
    LOGGING = cloud_logging(PROJECT)
DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL", "sqlite://:memory:"))}
if os.environ.get("BENCH_POOL"):
    pool = {"max_size": int(os.environ["BENCH_POOL"])}
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = pool
TASKS = {
    "default": {
        "BACKEND": "asgi_tasks.backends.PubSubBackend",
        "OPTIONS": {
            "project_id": PROJECT,
            "routes": os.environ.get("BENCH_ROUTES", "bench.site.tasks"),
            "service_url": os.environ.get("BENCH_SERVICE_URL", "http://127.0.0.1:8000"),
            "push_service_account": "pusher@tests.iam.gserviceaccount.com",
            "certs_url": os.environ.get("BENCH_CERTS_URL", "http://127.0.0.1:9/certs"),
        },
    }
}
if os.environ.get("BENCH_THREADS"):
    TASKS["default"]["OPTIONS"]["threads"] = int(os.environ["BENCH_THREADS"])
