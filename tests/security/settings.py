"""The test site with the tasks of this folder."""

import copy

from django.test import override_settings

from tests.site.settings import TASKS


def own_tasks(certs_url):
    """Settings for the time of a `with`: tests.security.tasks, and these certificates."""
    tasks = copy.deepcopy(TASKS)
    tasks["default"]["OPTIONS"] |= {"certs_url": certs_url, "routes": "tests.security.tasks"}
    return override_settings(TASKS=tasks)
