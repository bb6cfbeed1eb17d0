"""The test site with django-tasks-monitor and django-debug-toolbar."""

from tests.site.settings import *  # noqa: F403
from tests.site.settings import INSTALLED_APPS

DEBUG = True
INSTALLED_APPS = [
    *INSTALLED_APPS,
    "django.contrib.staticfiles",
    "debug_toolbar",
    "tasks_monitor",
]
MIDDLEWARE = ["debug_toolbar.middleware.DebugToolbarMiddleware"]
ROOT_URLCONF = "tests.integration.consumers.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "/static/"
INTERNAL_IPS = ["127.0.0.1"]
DEBUG_TOOLBAR_PANELS = ["debug_toolbar.panels.tasks.TasksPanel"]
DEBUG_TOOLBAR_CONFIG = {"RENDER_PANELS": True}
