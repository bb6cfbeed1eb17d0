"""As in development: Django's own ImmediateBackend, or none at all."""

import dj_database_url

SECRET_KEY = "shop"
INSTALLED_APPS = ["django.contrib.contenttypes", "asgi_tasks", "shop"]
ROOT_URLCONF = "shop.urls"
ASGI_APPLICATION = "shop.asgi.application"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": dj_database_url.config(default="sqlite://:memory:")}
