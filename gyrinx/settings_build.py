"""For `collectstatic` while the image is built: production's static files without its secrets."""

from .settings_base import *  # noqa: F403
from .settings_base import REPORT_STORAGE

SECRET_KEY = "build-only-serves-no-request"  # noqa: S105
STORAGES = {
    "default": REPORT_STORAGE,
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
