"""TaskOutbox: what a test has enqueued, and a push for each."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast, overload

from asgiref.sync import async_to_sync
from django.tasks import Task, TaskResult, TaskResultStatus
from django.utils.asyncio import async_unsafe

from ..asgi import PushEndpoint, Receive, Scope, Send
from ..backends import require_backend
from ..messages import TaskMessage
from ..publishers import PublishError
from ..routes import AnyTask
from ..signals import AnyResult
from . import calls
from .errors import EndlessTasks
from .pushing import Push, PushAnswer, Pusher
from .threads import count_waiting_callbacks

SHOWN_TASKS = 20


@dataclass(frozen=True, slots=True)
class _Waiting:
    push: Push
    max_attempts: int


class TaskOutbox(Sequence[AnyResult]):
    """What was enqueued while it was open, as TaskResults (READY) in their order.

    Nothing leaves the process. All but the last step is done as in production: enqueue() checks,
    finds the route, encodes and signs.
    """

    def __init__(self, pusher: Pusher) -> None:
        self._pusher = pusher
        self._results: list[AnyResult] = []
        self._waiting: deque[_Waiting] = deque()
        self._refusal: PublishError | None = None

    @overload
    def __getitem__(self, index: int) -> AnyResult: ...
    @overload
    def __getitem__(self, index: slice) -> list[AnyResult]: ...
    def __getitem__(self, index: int | slice) -> AnyResult | list[AnyResult]:
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __repr__(self) -> str:
        shown = [_show(result) for result in self._results[:SHOWN_TASKS]]
        more = ["…"] * (len(self) > SHOWN_TASKS)
        return f"<TaskOutbox [{', '.join(shown + more)}]>"

    def for_task[**P, R](self, task: "Task[P, R]") -> "list[TaskResult[P, R]]":
        """What was enqueued of one task."""
        calls.check_is_task(task)
        found = [result for result in self._results if result.task.func is task.func]
        return cast("list[TaskResult[P, R]]", found)

    def assert_enqueued(
        self, task: AnyTask, *args: Any, count: int | None = None, **kwargs: Any
    ) -> None:
        """Fail unless the task was enqueued with these arguments: so many times, or at all.

        Arguments left out may be anything, and it does not matter whether one was given by its
        position or by its name.
        """
        __tracebackhide__ = True
        found = len(self._find(task, args, kwargs))
        if found == count or (found and count is None):
            return
        how = "was not enqueued"
        if count is not None:
            how = f"was enqueued {_times(found)}, not {_times(count)}"
        raise AssertionError(f"{_call(task, args, kwargs)} {how}. {self._tell()}")

    def assert_not_enqueued(self, task: AnyTask, *args: Any, **kwargs: Any) -> None:
        """Fail if the task was enqueued with these arguments. See assert_enqueued()."""
        __tracebackhide__ = True
        if self._find(task, args, kwargs):
            raise AssertionError(f"{_call(task, args, kwargs)} was enqueued. {self._tell()}")

    @async_unsafe("run_enqueued() would block the event loop: use await arun_enqueued().")
    def run_enqueued(self, *, raise_errors: bool = True, max_runs: int = 1000) -> list[PushAnswer]:
        """Push what is in the outbox, and what those tasks enqueue, until nothing is left.

        Each is pushed to PushEndpoint as Pub/Sub would: encoded, signed, with a token that is
        verified, in this process. Return the answers in their order.

        Raise what a task raises (Discard and `discard_on` apart), or NotAcknowledged if its push is
        not acknowledged for another reason; with raise_errors=False the answers tell. What was not
        acknowledged is pushed again by the next call, as the next attempt. Raise EndlessTasks
        after so many runs.
        """
        __tracebackhide__ = True
        return async_to_sync(self.arun_enqueued)(raise_errors=raise_errors, max_runs=max_runs)

    async def arun_enqueued(
        self, *, raise_errors: bool = True, max_runs: int = 1000
    ) -> list[PushAnswer]:
        """See run_enqueued()."""
        __tracebackhide__ = True
        answers: list[PushAnswer] = []
        again: list[_Waiting] = []
        try:
            while self._waiting:
                if len(answers) >= max_runs:
                    raise EndlessTasks(_endless(answers[-1], max_runs))
                waiting = self._waiting.popleft()
                answer = await self._push(waiting.push)
                answers.append(answer)
                if not answer.is_acknowledged and waiting.push.attempt < waiting.max_attempts:
                    again.append(_Waiting(waiting.push.again(), waiting.max_attempts))
                if raise_errors:
                    answer.raise_for_failure()
        finally:
            self._waiting.extendleft(reversed(again))
        return answers

    @contextmanager
    def refusing(self, *, maybe_published: bool = False) -> Iterator[None]:
        """Have enqueue() fail meanwhile as if Pub/Sub were out of reach, with EnqueueRefused.

        If the message may have been published all the same, with EnqueueUnconfirmed.
        """
        self._refusal = PublishError("the test refuses it", maybe_published=maybe_published)
        try:
            yield
        finally:
            self._refusal = None

    def clear(self) -> None:
        """Forget everything, also what is still to be run."""
        self._results.clear()
        self._waiting.clear()

    def _take(self, topic: str, data: bytes, attributes: dict[str, str]) -> str:
        """Take a message instead of Pub/Sub; its id."""
        if self._refusal is not None:
            raise self._refusal
        backend = require_backend()
        message = TaskMessage.decode(data)
        route = backend.routes.resolve(message.task_name)
        push = Push(
            task=route.task,
            task_id=message.task_id,
            subscription=backend.routes.subscription(message.task_name),
            data=data,
            attributes=attributes,
        )
        self._results.append(_make_result(route.task, message, backend.alias))
        self._waiting.append(_Waiting(push, route.max_delivery_attempts))
        return push.message_id

    async def _push(self, push: Push) -> PushAnswer:
        return await self._pusher.send(push, PushEndpoint(_no_page), require_backend().config)

    def _find(
        self, task: AnyTask, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[AnyResult]:
        __tracebackhide__ = True
        wanted = calls.arguments(task, args, kwargs)
        return [
            result
            for result in self.for_task(task)
            if calls.includes(calls.arguments(task, result.args, result.kwargs), wanted)
        ]

    def _tell(self) -> str:
        """What was enqueued, for the message of a failure."""
        told = [f"  {_show(result)}" for result in self._results[:SHOWN_TASKS]]
        if len(self) > SHOWN_TASKS:
            told.append(f"  and {len(self) - SHOWN_TASKS} more")
        lines = ["Enqueued were:", *told] if told else ["Nothing was enqueued."]
        if waiting := count_waiting_callbacks():
            callbacks = "callback waits" if waiting == 1 else "callbacks wait"
            lines.append(
                f"{waiting} on_commit {callbacks} for a commit that a test's transaction never "
                "comes to: django_capture_on_commit_callbacks(execute=True), or in test cases "
                "captureOnCommitCallbacks(execute=True), runs them."
            )
        return "\n".join(lines)


def _make_result(task: AnyTask, message: TaskMessage, alias: str) -> AnyResult:
    return TaskResult(
        task=task,
        id=message.task_id,
        status=TaskResultStatus.READY,
        enqueued_at=message.enqueued_at,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=message.args,
        kwargs=message.kwargs,
        backend=alias,
        errors=[],
        worker_ids=[],
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _call(task: AnyTask, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return calls.show(task, args, kwargs) if args or kwargs else task.module_path


def _show(result: AnyResult) -> str:
    return calls.show(result.task, result.args, result.kwargs)


def _endless(last: PushAnswer, runs: int) -> str:
    return (
        f"{runs} tasks have run, and more are enqueued. The last was {last.task.module_path}: does "
        "it enqueue itself? Raise max_runs if that is no mistake."
    )


async def _no_page(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})
