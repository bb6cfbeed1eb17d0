"""A push in process: through an ASGI application, without a socket."""

import asyncio
import base64
import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async

from .. import deliveries, dispatch, lanes
from ..asgi import Application, Message
from ..conf import BackendOptions
from ..routes import AnyTask
from .errors import NotAcknowledged
from .identity import make_token, make_verifier
from .threads import Savepoints, TestThread, kept_connections

ACKNOWLEDGED = 204
message_ids = map(str, itertools.count(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAnswer:
    """How a push was answered, and how the task ended if it ran."""

    task: AnyTask
    task_id: str  # TaskResult.id
    attempt: int
    status: int  # of the answer: 204 acknowledges, with every other the message comes again
    outcome: str | None = None  # as in the log: "succeeded", "failed", ...; None: it did not run
    result: Any = None  # what it returned, as JSON gives it back
    exception: BaseException | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        shown = [self.task.module_path, f"attempt={self.attempt}", f"status={self.status}"]
        shown += [
            f"{name}={value!r}"
            for name in ("outcome", "result", "exception")
            if (value := getattr(self, name)) is not None
        ]
        return f"<PushAnswer {' '.join(shown)}>"

    @property
    def is_acknowledged(self) -> bool:
        """Whether Pub/Sub would not deliver the task again."""
        return self.status == ACKNOWLEDGED

    def raise_for_failure(self) -> None:
        """Raise what the task raised, unless it gave up with Discard; or NotAcknowledged."""
        __tracebackhide__ = True
        if self.outcome in (deliveries.Outcome.SUCCEEDED.word, deliveries.Outcome.DISCARDED.word):
            return
        what = f"the push of {self.task.module_path}, attempt {self.attempt}, "
        what += f"was answered with {self.status}"
        if self.exception is None:
            outcome = f"the task {self.outcome}" if self.outcome else "the log says why"
            raise NotAcknowledged(f"{what}: {outcome}")
        self.exception.add_note(f"asgi_tasks: {what}")
        raise self.exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A push, right or wrong on purpose."""

    task: AnyTask
    task_id: str
    subscription: str
    data: bytes
    attributes: Mapping[str, str]
    attempt: int = 1
    message_id: str = field(default_factory=lambda: next(message_ids))
    token: str | None = None  # instead of a right one; empty: none at all

    def again(self) -> "Push":
        """As Pub/Sub delivers it again."""
        return replace(self, attempt=self.attempt + 1)

    def body(self) -> bytes:
        """https://cloud.google.com/pubsub/docs/push#receive_push"""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        message = {
            "data": base64.b64encode(self.data).decode(),
            "attributes": dict(self.attributes),
            "messageId": self.message_id,
            "message_id": self.message_id,
            "publishTime": now,
            "publish_time": now,
        }
        envelope = {"message": message, "subscription": self.subscription}
        return json.dumps(envelope | {"deliveryAttempt": self.attempt}).encode()

    def headers(self, options: BackendOptions) -> dict[str, str]:
        token = make_token(options, {}) if self.token is None else self.token
        return {
            "host": urlsplit(options.service_url).netloc,
            "content-type": "application/json",
            **({"authorization": f"Bearer {token}"} if token else {}),
        }


class Pusher:
    """Pushes to ASGI applications, which it has trust the tokens made here."""

    def __init__(self) -> None:
        self._replaced: dict[BackendOptions, Any] = {}

    def close(self) -> None:
        """Have them trust Google's tokens again."""
        for options, verifier in self._replaced.items():
            if dispatch.verifiers.get(options) is verifier:
                del dispatch.verifiers[options]  # another is made when it is needed

    async def send(
        self, push: Push, application: Application, options: BackendOptions
    ) -> PushAnswer:
        """Push, and wait for the answer. Tasks run where the test's own sync code does."""
        self._trust(options)
        savepoints = await sync_to_async(Savepoints)()
        try:
            with _in_test() as heard, kept_connections():
                status = await _request(application, push.body(), push.headers(options), options)
        finally:
            await sync_to_async(savepoints.leave)()
        answer = PushAnswer(
            task=push.task, task_id=push.task_id, attempt=push.attempt, status=status
        )
        return replace(answer, **heard)

    def _trust(self, options: BackendOptions) -> None:
        if options not in self._replaced:
            self._replaced[options] = make_verifier(options)
        dispatch.verifiers[options] = self._replaced[options]


@contextmanager
def _in_test() -> Iterator[dict[str, Any]]:
    """What is told of the delivery meanwhile."""
    heard: dict[str, Any] = {}

    def listen(
        delivery: deliveries.Delivery, report: deliveries.Report, error: BaseException | None
    ) -> None:
        heard.update(outcome=report.outcome.word, result=report.result, exception=error)

    thread = lanes.replacement.set(TestThread())
    listener = deliveries.listening.set(listen)
    try:
        yield heard
    finally:
        deliveries.listening.reset(listener)
        lanes.replacement.reset(thread)


async def _request(
    application: Application, body: bytes, headers: Mapping[str, str], options: BackendOptions
) -> int:
    """The status of a POST to the endpoint."""
    requests = iter([{"type": "http.request", "body": body}])
    statuses: list[int] = []

    async def receive() -> Message:
        if request := next(requests, None):
            return request
        await asyncio.get_running_loop().create_future()  # the client stays until it is answered
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await application(_scope(headers, len(body), options), receive, send)
    if not statuses:
        raise NotAcknowledged("the application has not answered the push")
    return statuses[0]


def _scope(headers: Mapping[str, str], length: int, options: BackendOptions) -> dict[str, Any]:
    url = urlsplit(options.endpoint)
    encoded = {**headers, "content-length": str(length)}.items()
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in encoded],
        "client": ("127.0.0.1", 0),
        "server": (url.hostname, url.port or 443),
    }
