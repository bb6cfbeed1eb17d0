import asyncio
import logging
import threading
import uuid
from contextlib import contextmanager

import pytest
from django.db import connection
from django.tasks import TaskResult, TaskResultStatus
from django.tasks.signals import log_task_started, task_enqueued, task_finished, task_started

from asgi_tasks.backends import PubSubBackend
from asgi_tasks.signals import asend, send
from tests.processes import python
from tests.site import tasks

every_signal = pytest.mark.parametrize(
    "signal", [task_enqueued, task_started, task_finished], ids=["enqueued", "started", "finished"]
)


@pytest.fixture
def result():
    return TaskResult(
        task=tasks.add,
        id=str(uuid.uuid4()),
        status=TaskResultStatus.READY,
        enqueued_at=None,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=[],
        kwargs={},
        backend="default",
        errors=[],
        worker_ids=[],
    )


@contextmanager
def connected(signal, receiver, **options):
    signal.connect(receiver, **options)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=options.get("sender"))


@every_signal
async def test_django_alone_listens_and_no_thread_is_used(signal, result, caplog):
    caplog.set_level("DEBUG", "django.tasks")
    await asend(signal, PubSubBackend, lambda: result)
    (line,) = [record for record in caplog.records if record.name == "django.tasks"]
    assert result.id in line.getMessage()
    assert line.thread == threading.get_ident()


@every_signal
async def test_sync_receiver_is_called_in_a_thread(signal, result):
    heard = []

    def receiver(sender, task_result, **kwargs):
        heard.append((sender, task_result, threading.get_ident()))

    with connected(signal, receiver):
        await asend(signal, PubSubBackend, lambda: result)
    ((sender, task_result, thread),) = heard
    assert (sender, task_result) == (PubSubBackend, result)
    assert thread != threading.get_ident()


@every_signal
async def test_async_receiver_is_awaited_on_the_loop(signal, result):
    heard = []

    async def receiver(sender, task_result, **kwargs):
        await asyncio.sleep(0)
        heard.append((task_result, threading.get_ident()))

    with connected(signal, receiver):
        await asend(signal, PubSubBackend, lambda: result)
    assert heard == [(result, threading.get_ident())]


@pytest.mark.django_db(transaction=True)
async def test_receiver_may_use_the_orm(result):
    rows = []

    def receiver(**kwargs):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 42")
            rows.extend(cursor.fetchall())
        connection.connection.close()  # in memory: Django would keep it open

    with connected(task_finished, receiver):
        await asend(task_finished, PubSubBackend, lambda: result)
    assert rows == [(42,)]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_receiver_that_raises_is_logged_and_the_others_are_called(kind, result, caplog):
    heard = []

    def failing(**kwargs):
        raise RuntimeError("mine")

    async def failing_async(**kwargs):
        raise RuntimeError("mine")

    def receiver(**kwargs):
        heard.append(kwargs["task_result"])

    bad = failing if kind == "sync" else failing_async
    with connected(task_started, bad), connected(task_started, receiver):
        await asend(task_started, PubSubBackend, lambda: result)
    assert heard == [result]
    assert "mine" in caplog.text


async def test_logging_that_raises_changes_nothing(result, caplog):
    """A filter of the site's own may raise where Django's receivers log."""

    def explode(record):
        raise RuntimeError("a broken filter")

    logger = logging.getLogger("django.tasks")
    caplog.set_level("DEBUG", "django.tasks")
    logger.addFilter(explode)
    try:
        await asend(task_started, PubSubBackend, lambda: result)
    finally:
        logger.removeFilter(explode)
    assert "a broken filter" in caplog.text


async def test_receiver_may_be_unhashable(result):
    called = []

    class Receiver:
        __hash__ = None

        def __call__(self, **kwargs):
            called.append(kwargs["task_result"])

    receiver = Receiver()
    with connected(task_started, receiver):
        await asend(task_started, PubSubBackend, lambda: result)
    assert called == [result]


async def test_receiver_of_another_sender_is_not_called(result):
    heard = []

    def receiver(**kwargs):
        heard.append(kwargs)

    with connected(task_started, receiver, sender=object):
        await asend(task_started, PubSubBackend, lambda: result)
    assert heard == []


async def test_django_s_own_receivers_disconnected_and_nobody_is_called(result, caplog):
    caplog.set_level("DEBUG", "django.tasks")
    task_started.disconnect(log_task_started)
    try:
        await asend(task_started, PubSubBackend, lambda: result)
    finally:
        task_started.connect(log_task_started)
    assert [record for record in caplog.records if record.name == "django.tasks"] == []


@pytest.fixture
def silent_django():
    logger = logging.getLogger("django.tasks")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


async def heard(signal, result):
    """How often a result was made, by asend() and by send()."""
    made = []

    def make():
        made.append(result)
        return result

    await asend(signal, PubSubBackend, make)
    await asyncio.to_thread(send, signal, PubSubBackend, make)
    return len(made)


@every_signal
@pytest.mark.parametrize("level", ["DEBUG", "INFO", "ERROR"])
async def test_result_is_made_for_what_django_s_loggers_log(signal, level, result, caplog):
    caplog.set_level(level, "django.tasks")
    logged = {task_enqueued: ["DEBUG"], task_started: ["DEBUG", "INFO"]}
    assert await heard(signal, result) == 2 * (level in logged.get(signal, [level]))


@every_signal
async def test_no_result_is_made_where_nobody_hears_it(signal, result, silent_django):
    assert await heard(signal, result) == 0


@every_signal
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_result_is_made_for_any_receiver(signal, kind, result, silent_django):
    async def listen_async(**kwargs):
        pass

    def listen(**kwargs):
        pass

    with connected(signal, listen if kind == "sync" else listen_async):
        assert await heard(signal, result) == 2


def test_receiver_that_was_there_first_is_not_called_by_the_import():
    said = python(
        "-c",
        "from django.conf import settings; settings.configure()\n"
        "from django.tasks.signals import task_finished\n"
        "task_finished.connect(lambda **facts: print('called'), weak=False)\n"
        "import asgi_tasks.signals; print('imported')",
    )
    assert said.split() == ["imported"]
