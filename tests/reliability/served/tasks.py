"""Tasks that end once the test has opened their gate, a file in the folder TESTS_GATES."""

import asyncio
import contextlib
import os
import time
from pathlib import Path

from django.tasks import task

from asgi_tasks import TaskRoute
from tests.site.effects import record
from tests.site.task_routes import task_routes as site_routes

GATES = Path(os.environ.get("TESTS_GATES", "/nowhere"))


def is_open(gate):
    return (GATES / gate).exists()


@task
async def run(key, gate="gate"):
    record("run", key=key, state="began")
    try:
        while not is_open(gate):  # noqa: ASYNC110 - another process opens it
            await asyncio.sleep(0.2)
    except asyncio.CancelledError:
        await asyncio.sleep(0.3)  # tidying up may take as long
        record("run", key=key, state="cancelled")
        raise
    record("run", key=key, state="ended")


@task
def run_sync(key, gate="gate"):
    record("run_sync", key=key, state="began")
    while not is_open(gate):
        time.sleep(0.02)
    record("run_sync", key=key, state="ended")


@task
async def stay(key):
    """Go on, whatever one is told."""
    record("stay", key=key, state="began")
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


@task
async def block(key):
    """Do what no coroutine may."""
    record("block", key=key, state="began")
    time.sleep(60)  # noqa: ASYNC251


@task
async def open_resource():
    """Leave an asynchronous generator suspended, as the publisher is."""
    resources.append(resource())
    await anext(resources[-1])


resources = []


async def resource():
    try:
        yield
    finally:
        record("resource", state="closed")


@task
async def pass_on(key):
    record("pass_on", key=key, state="began")
    await run.aenqueue(key)


@task
def pass_on_sync(key):
    record("pass_on_sync", key=key, state="began")
    run_sync.enqueue(key)


@task
async def spin(milliseconds):
    """Keep the loop busy for so long: what a task does that computes a little."""
    compute(milliseconds)


@task
def spin_sync(milliseconds):
    compute(milliseconds)


def compute(milliseconds):
    until = time.thread_time() + milliseconds / 1000
    while time.thread_time() < until:
        pass


OWN = (run, run_sync, stay, block, open_resource, pass_on, pass_on_sync, spin, spin_sync)
task_routes = [*site_routes, *map(TaskRoute, OWN)]
