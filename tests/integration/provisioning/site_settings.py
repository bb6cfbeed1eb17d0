"""The test site with another list of routes."""

import os

from tests.site.settings import *  # noqa: F403
from tests.site.settings import INSTALLED_APPS, TASKS

# Its other tasks have no route here, which the checks would complain of.
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "tests.site"]
TASKS["default"]["OPTIONS"]["routes"] = os.environ["TESTS_ROUTES"]
