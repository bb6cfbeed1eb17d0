"""For unittest and Django's test cases, what the fixtures are for pytest."""

from collections.abc import Mapping
from typing import Any, ClassVar
from unittest import TestCase

from .capturing import capture_tasks
from .outbox import TaskOutbox
from .push_client import PushClient
from .pushing import PushAnswer


class TaskTestMixin(TestCase):
    """Gives a test case `task_outbox`, `push_client`, `run_enqueued()` and `arun_enqueued()`.

    Write it before Django's class: ``class ReceiptTests(TaskTestMixin, TestCase)``.
    """

    task_options: ClassVar[Mapping[str, Any]] = {}  # added to those of PubSubBackend
    task_outbox: TaskOutbox
    push_client: PushClient

    def setUp(self) -> None:
        """Open the outbox."""
        super().setUp()
        capture = self.enterContext(capture_tasks(self.task_options))
        self.task_outbox = capture.outbox
        self.push_client = capture.push_client

    def run_enqueued(self, *, raise_errors: bool = True, max_runs: int = 1000) -> list[PushAnswer]:
        """See TaskOutbox.run_enqueued()."""
        return self.task_outbox.run_enqueued(raise_errors=raise_errors, max_runs=max_runs)

    async def arun_enqueued(
        self, *, raise_errors: bool = True, max_runs: int = 1000
    ) -> list[PushAnswer]:
        """See TaskOutbox.run_enqueued()."""
        return await self.task_outbox.arun_enqueued(raise_errors=raise_errors, max_runs=max_runs)
