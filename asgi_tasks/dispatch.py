"""receive(): authenticate, decode, resolve, execute, answer. What asgi.py and views.py share."""

import asyncio
import functools
import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from . import current, eager, metrics
from .backends import PubSubBackend
from .conf import BackendOptions
from .deliveries import Delivery
from .exceptions import (
    BodyTooLarge,
    BodyTooSlow,
    InvalidMessage,
    MethodNotAllowed,
    PermissionDenied,
    PushRefused,
    UnsupportedMediaType,
)
from .execution import execute
from .lanes import get_lanes
from .messages import PushEnvelope, TaskMessage, is_signed
from .oidc import Certificates, PushTokenVerifier
from .routes import RouteTable, TaskRoute

logger = logging.getLogger("asgi_tasks")

BODY_TIMEOUT = 10  # seconds
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\b", re.ASCII)
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 405: {"Allow": "POST"}}

type Read = Callable[[int], Coroutine[Any, Any, bytes]]


class Answer(NamedTuple):
    """The response to a push; its body is always empty."""

    status: int
    headers: Mapping[str, str]


async def receive(
    backend: PubSubBackend, method: str, headers: Mapping[str, str], read: Read
) -> Answer:
    """Answer one push, after its task has run.

    ``headers`` have lower-case names. ``read(limit)`` returns the body, or raises BodyTooLarge if
    it has more bytes than that; it is called once the caller has proved to be Pub/Sub, though a
    server such as Daphne has read the body by then.
    """
    received = asyncio.get_running_loop().time()
    try:
        status = await _receive(backend, method, headers, read, received)
    except PushRefused as refusal:
        _tell_refusal(refusal)
        status = refusal.status
    except Exception:
        logger.exception("Push not answered for by its task: an error in asgi_tasks or its set-up")
        status = 500
    return Answer(status, HEADERS.get(status, {}))


async def _receive(
    backend: PubSubBackend, method: str, headers: Mapping[str, str], read: Read, received: float
) -> int:
    options = backend.config
    if method != "POST":
        raise MethodNotAllowed(f"method {method[:20]!r}")
    await get_verifier(options).verify(headers.get("authorization", ""))
    envelope = PushEnvelope.decode(await _read_body(headers, read, options.max_body_bytes))
    delivery = _match(backend, envelope, received)
    with _known(delivery, headers), _counted(delivery):
        report = await execute(delivery, get_lanes(options.threads))
    return report.outcome.status


def _known(delivery: Delivery, headers: Mapping[str, str]) -> AbstractContextManager[None]:
    """Have every log line meanwhile tell of the delivery."""
    fields = delivery.fields
    if found := TRACEPARENT.match(headers.get("traceparent", "")):
        fields["trace"] = found[1]
    return current.working_on(fields)


def _counted(delivery: Delivery) -> AbstractContextManager[None]:
    return metrics.delivering(
        subscription=delivery.subscription,
        attempt=delivery.attempt,
        enqueued_at=delivery.message.enqueued_at,
    )


async def _read_body(headers: Mapping[str, str], read: Read, limit: int) -> bytes:
    _check_media_type(headers.get("content-type", ""), headers.get("content-encoding", "identity"))
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise BodyTooLarge(f"a body of more than {limit:,} bytes")
    # A body that is there already needs no clock.
    reading = eager.start(read(limit))
    if reading.done():
        return reading.result()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await reading
    except TimeoutError as error:
        raise BodyTooSlow(f"no whole body in {BODY_TIMEOUT} seconds") from error


@functools.lru_cache(maxsize=16)
def _check_media_type(content_type: str, encoding: str) -> None:
    media_type, *parameters = (part.strip() for part in content_type.lower().split(";"))
    if media_type != "application/json":
        raise UnsupportedMediaType("the content type is not application/json")
    charsets = [part for part in parameters if part.startswith("charset")]
    if not set(charsets) <= {"charset=utf-8", 'charset="utf-8"'}:
        raise UnsupportedMediaType("the charset is not UTF-8")
    if encoding.strip().lower() != "identity":
        raise UnsupportedMediaType("the body is compressed")


def _match(backend: PubSubBackend, envelope: PushEnvelope, received: float) -> Delivery:
    """The delivery, if the message came the way of its route."""
    fields: dict[str, str | int] = {
        "message_id": envelope.message_id,
        "subscription": envelope.subscription,
        "attempt": envelope.delivery_attempt or 1,
    }
    try:
        message = TaskMessage.decode(envelope.data)
        fields |= {"task_name": message.task_name, "task_id": message.task_id}
        route = _find_route(backend.routes, envelope, message)
    except PushRefused as refusal:
        refusal.fields = fields
        raise
    return Delivery(
        route=route,
        message=message,
        message_id=envelope.message_id,
        subscription=envelope.subscription,
        attributes=envelope.attributes,
        attempt=envelope.delivery_attempt or 1,
        received=received,
        options=backend.config,
        backend=backend.alias,
        sender=type(backend),
    )


def _find_route(routes: RouteTable, envelope: PushEnvelope, message: TaskMessage) -> TaskRoute:
    route = routes.resolve(message.task_name)
    if envelope.subscription != routes.subscription(message.task_name):
        raise PermissionDenied(f"{message.task_name} does not come from this subscription")
    if route.signed and not is_signed(message, envelope, routes.signing_keys):
        raise PermissionDenied(f"the signature of a {message.task_name} message is wrong")
    try:
        route.bind(message.args, message.kwargs)
    except TypeError as error:
        raise InvalidMessage(f"{message.task_name} does not take these arguments") from error
    return route


def get_verifier(options: BackendOptions) -> PushTokenVerifier:
    """The verifier for these options, which keeps what it has verified."""
    if options not in verifiers:
        verifiers[options] = PushTokenVerifier(
            audience=options.audience,
            service_account=options.push_service_account,
            certificates=Certificates(options.certs_url),
        )
    return verifiers[options]


def _tell_refusal(refusal: PushRefused) -> None:
    """The one line of a push whose task does not run."""
    details = "".join(f" {name}={value}" for name, value in refusal.fields.items())
    fields = {**refusal.fields, "outcome": "refused", "status": refusal.status}
    logger.warning("Push refused with %s: %s", refusal.status, f"{refusal}{details}", extra=fields)
    metrics.count_refused(refusal.status)


verifiers: dict[BackendOptions, PushTokenVerifier] = {}
