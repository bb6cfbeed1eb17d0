"""Production on Cloud Run. Everything that differs between deployments is in the environment."""

import os
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from asgi_tasks.logs import cloud_logging

from .settings_base import *  # noqa: F403
from .settings_base import (
    EMAIL_TIMEOUT_SECONDS,
    MIDDLEWARE,
    REPORT_STORAGE,
    email_settings,
    with_static_files,
)

REQUIRED = {
    "SECRET_KEY": "signs sessions and task messages: 50 random characters from Secret Manager",
    "DATABASE_URL": "PostgreSQL: postgres://user:password@host/name",
    "ALLOWED_HOSTS": "host names of this site, comma separated",
    "GCP_PROJECT_ID": "the Google Cloud project whose Pub/Sub carries the tasks",
    "TASKS_SERVICE_URL": "https URL of this service, to which Pub/Sub pushes",
    "TASKS_SERVICE_ACCOUNT": "e-mail of the service account that Pub/Sub pushes as",
    "EMAIL_HOST": "the SMTP server that sends this site's e-mail",
}
ENVIRONMENTS = ("dev", "staging", "prod")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def find_problems(environ):
    """Everything wrong with the environment, so that one deploy shows it all."""
    problems = [f"{name} is not set: {use}" for name, use in REQUIRED.items() if not environ[name]]
    if environ["TASKS_ENVIRONMENT"] not in ENVIRONMENTS:
        problems.append(f"TASKS_ENVIRONMENT is not one of {', '.join(ENVIRONMENTS)}")
    if environ["TASKS_SERVICE_URL"] and urlsplit(environ["TASKS_SERVICE_URL"]).scheme != "https":
        problems.append("TASKS_SERVICE_URL does not start with https://")
    if environ["DATABASE_URL"] and not environ["DATABASE_URL"].startswith("postgres"):
        problems.append("DATABASE_URL is not a postgres:// URL")
    if environ["LOG_LEVEL"] not in LOG_LEVELS:
        problems.append(f"LOG_LEVEL is not one of {', '.join(LOG_LEVELS)}")
    return problems


def split(value):
    return [part for part in (part.strip() for part in value.split(",")) if part]


ENV = {name: os.environ.get(name, "").strip() for name in REQUIRED}
ENV["TASKS_ENVIRONMENT"] = os.environ.get("TASKS_ENVIRONMENT", "").strip() or "prod"
ENV["LOG_LEVEL"] = os.environ.get("LOG_LEVEL", "").strip().upper() or "INFO"
if problems := find_problems(ENV):
    raise ImproperlyConfigured("gyrinx cannot start:\n" + "\n".join(f"- {p}" for p in problems))

DEBUG = False
SECRET_KEY = ENV["SECRET_KEY"]
SECRET_KEY_FALLBACKS = split(os.environ.get("SECRET_KEY_FALLBACKS", ""))
ALLOWED_HOSTS = split(ENV["ALLOWED_HOSTS"])

# The pool bounds the connections of pages and tasks together, which CONN_MAX_AGE cannot under ASGI.
DATABASES = {"default": dj_database_url.parse(ENV["DATABASE_URL"], conn_max_age=0)}
DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
    "min_size": int(os.environ.get("DATABASE_POOL_MIN", "1")),
    "max_size": int(os.environ.get("DATABASE_POOL_MAX", "16")),
    "timeout": 10,
}

TASKS = {
    "default": {
        "BACKEND": "asgi_tasks.backends.PubSubBackend",
        "OPTIONS": {
            "project_id": ENV["GCP_PROJECT_ID"],
            "environment": ENV["TASKS_ENVIRONMENT"],
            "topic_prefix": "gyrinx-tasks",
            "routes": "gyrinx.task_routes",
            "service_url": ENV["TASKS_SERVICE_URL"],
            "push_service_account": ENV["TASKS_SERVICE_ACCOUNT"],
            # Cloud Run's request timeout; the report's ack deadline needs 600.
            "service_timeout": int(os.environ.get("SERVICE_TIMEOUT", "600")),
        },
    }
}

globals().update(
    email_settings(
        "smtp",
        host=ENV["EMAIL_HOST"],
        port=int(os.environ.get("EMAIL_PORT", "587")),
        username=os.environ.get("EMAIL_HOST_USER", ""),
        password=os.environ.get("EMAIL_HOST_PASSWORD", ""),
        use_tls=os.environ.get("EMAIL_USE_TLS", "true").lower() != "false",
        timeout=EMAIL_TIMEOUT_SECONDS,
    )
)
DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL", f"gyrinx@{ALLOWED_HOSTS[0].lstrip('.')}")

# An instance's own disk is neither shared nor kept: mount a Cloud Storage bucket here.
MEDIA_ROOT = os.environ.get("MEDIA_ROOT", "/mnt/media")
STORAGES = {
    "default": REPORT_STORAGE,
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MIDDLEWARE = with_static_files(MIDDLEWARE)

# Cloud Run ends TLS and says so in this header, which it overwrites if a client sends it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
CSRF_TRUSTED_ORIGINS = ["{0.scheme}://{0.netloc}".format(urlsplit(ENV["TASKS_SERVICE_URL"]))]

LOGGING = cloud_logging(ENV["GCP_PROJECT_ID"], level=ENV["LOG_LEVEL"])
