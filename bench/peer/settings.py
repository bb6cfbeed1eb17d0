import os

SECRET_KEY = "bench-only"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "bench.peer.urls"
INSTALLED_APPS = ["django_tasks_pubsub"]
MIDDLEWARE = []
PUBSUB_PROJECT_ID = "bench"
PUBSUB_DEFAULT_TOPIC_ID = "tasks"
TASKS = {"default": {"BACKEND": "django_tasks_pubsub.backend.PubSubBackend"}}
# Its lines are shown, as ours are.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": os.environ.get("BENCH_LOG_LEVEL", "INFO")},
}
