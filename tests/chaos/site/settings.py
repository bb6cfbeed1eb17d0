"""tests.site's settings for a site that is killed, locked out of its database and lied to."""

from asgi_tasks.logs import cloud_logging
from tests.site.settings import *  # noqa: F403
from tests.site.settings import DATABASES, INSTALLED_APPS, TASKS

INSTALLED_APPS = [name for name in INSTALLED_APPS if name != "tests.site"]
ROOT_URLCONF = "tests.chaos.site.urls"
ASGI_APPLICATION = "tests.chaos.site.asgi.application"
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"]["timeout"] = 0.5  # a database that refuses, not one that waits

TASKS["default"]["OPTIONS"] |= {
    "topic_prefix": "chaos",
    "routes": "tests.chaos.site.task_routes",
    "publish_timeout": 2,
}
LOGGING = cloud_logging("chaos")
