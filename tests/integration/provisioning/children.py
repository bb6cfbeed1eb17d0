"""The command in processes that start at once: forked from one that has loaded everything."""

import multiprocessing
import os
import sys
from pathlib import Path

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload([__name__, "django.core.management", "google.cloud.pubsub_v1"])


def start(host, output, barrier=None):
    """A process that runs provision_tasks; what it prints is in the file ``output``."""
    process = FORKING.Process(target=_provision, args=(host, output, barrier))
    process.start()
    return process


def _provision(host, output, barrier):
    os.environ["PUBSUB_EMULATOR_HOST"] = host
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integration.provisioning.site_settings"
    os.environ["TESTS_ROUTES"] = "tests.integration.provisioning.routes.one"
    import django
    import google.cloud.pubsub_v1  # noqa: F401 - before the others are waited for
    from django.core.management import CommandError, call_command

    django.setup()
    if barrier:
        barrier.wait(60)
    with Path(output).open("w") as stdout:
        try:
            call_command("provision_tasks", stdout=stdout)
        except CommandError as error:
            stdout.write(str(error))
            sys.exit(error.returncode)
