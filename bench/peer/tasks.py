"""It takes sync tasks only."""

import time

from django.tasks import task


@task
def nothing():
    pass


@task
def wait(seconds):
    time.sleep(seconds)
