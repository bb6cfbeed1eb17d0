"""The test site with the tasks of this folder, and a database as the environment says."""

import copy
import json
import os

from tests.site import settings as site
from tests.site.settings import *  # noqa: F403

TASKS = copy.deepcopy(site.TASKS)
TASKS["default"]["OPTIONS"]["routes"] = "tests.reliability.faulty.tasks"
DATABASES = copy.deepcopy(site.DATABASES)
DATABASES["default"].setdefault("OPTIONS", {})
DATABASES["default"]["OPTIONS"] |= json.loads(os.environ.get("TESTS_DATABASE_OPTIONS", "{}"))
LOGGING = copy.deepcopy(site.LOGGING)
LOGGING["formatters"] = {"level": {"format": "%(levelname)s %(message)s"}}
LOGGING["handlers"]["console"]["formatter"] = "level"
