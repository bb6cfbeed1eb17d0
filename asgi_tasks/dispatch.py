"""receive(): authenticate, decode, resolve, execute, answer. What asgi.py and views.py share."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from .attempts import Delivery
from .backends import PubSubBackend
from .conf import BackendOptions
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
RESULT_CHARACTERS = 200  # of a result, in the log
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 405: {"Allow": "POST"}}

type Read = Callable[[int], Awaitable[bytes]]


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
        notes = getattr(refusal, "__notes__", [])
        logger.warning("Push refused with %s: %s", refusal.status, " ".join([str(refusal), *notes]))
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
    message, route = _match(backend.routes, envelope)
    delivery = Delivery(
        route=route,
        message=message,
        attempt=envelope.delivery_attempt or 1,
        received=received,
        backend=backend.alias,
        sender=type(backend),
    )
    try:
        report = await execute(delivery, get_lanes(options.threads))
    except asyncio.CancelledError:
        _log(delivery, envelope, "was interrupted", options)
        raise
    _log(delivery, envelope, report.outcome.word, options, report.result)
    return report.outcome.status


async def _read_body(headers: Mapping[str, str], read: Read, limit: int) -> bytes:
    _check_media_type(headers)
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise BodyTooLarge(f"a body of more than {limit:,} bytes")
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await read(limit)
    except TimeoutError as error:
        raise BodyTooSlow(f"no whole body in {BODY_TIMEOUT} seconds") from error


def _check_media_type(headers: Mapping[str, str]) -> None:
    content_type = headers.get("content-type", "").lower().split(";")
    media_type, *parameters = (part.strip() for part in content_type)
    if media_type != "application/json":
        raise UnsupportedMediaType("the content type is not application/json")
    charsets = [part for part in parameters if part.startswith("charset")]
    if not set(charsets) <= {"charset=utf-8", 'charset="utf-8"'}:
        raise UnsupportedMediaType("the charset is not UTF-8")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("the body is compressed")


def _match(routes: RouteTable, envelope: PushEnvelope) -> tuple[TaskMessage, TaskRoute]:
    """The message and its route, if it came the way of this route."""
    try:
        message = TaskMessage.decode(envelope.data)
        return message, _find_route(routes, envelope, message)
    except PushRefused as refusal:
        ids = f"message={envelope.message_id} subscription={envelope.subscription}"
        refusal.add_note(f"{ids} attempt={envelope.delivery_attempt}")
        raise


def _find_route(routes: RouteTable, envelope: PushEnvelope, message: TaskMessage) -> TaskRoute:
    route = routes.resolve(message.task_name)
    if envelope.subscription != routes.subscription(message.task_name):
        raise PermissionDenied(f"{message.task_name} does not come from this subscription")
    if route.signed and not is_signed(message, envelope, routes.options.signing_keys):
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


def _log(
    delivery: Delivery,
    envelope: PushEnvelope,
    outcome: str,
    options: BackendOptions,
    result: Any = None,
) -> None:
    elapsed = asyncio.get_running_loop().time() - delivery.received
    fields: dict[str, Any] = {
        "task_name": delivery.route.name,
        "task_id": delivery.message.task_id,
        "message_id": envelope.message_id,
        "attempt": delivery.attempt,
        "duration_ms": round(elapsed * 1000),
        "outcome": outcome,
    }
    line = "Task %(task_name)s %(outcome)s in %(duration_ms)s ms: id=%(task_id)s "
    line += "message=%(message_id)s attempt=%(attempt)s"
    if options.log_results and result is not None:
        fields["result"] = json.dumps(result)[:RESULT_CHARACTERS]
        line += " result=%(result)s"
    logger.info(line, fields, extra=fields)


verifiers: dict[BackendOptions, PushTokenVerifier] = {}
