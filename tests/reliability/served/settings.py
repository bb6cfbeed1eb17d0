import copy
import os
from pathlib import Path

from tests.site import settings as site
from tests.site.settings import *  # noqa: F403

ROOT_URLCONF = "tests.reliability.served.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
    }
]
TASKS = copy.deepcopy(site.TASKS)
TASKS["default"]["OPTIONS"] |= {
    "routes": os.environ.get("TESTS_ROUTES", "tests.reliability.served.tasks"),
    "max_message_bytes": 300_000,  # small, so that a body over the cap is quickly sent
}
