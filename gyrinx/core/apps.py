from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "gyrinx.core"
    verbose_name = "Gyrinx"
