"""Why a message was not confirmed, and whether the broker may have it all the same."""

import contextlib
import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aiohttp import ClientResponseError


class PublishError(Exception):
    """The broker did not confirm the message.

    ``maybe_published`` (bool) tells whether it may have accepted it all the same.
    """

    def __init__(self, message: str, *, maybe_published: bool) -> None:
        super().__init__(message)
        self.maybe_published = maybe_published


# Timed out, aborted, cancelled: of the 4xx these may pass.
_RETRIED = (408, 409, 499)


# Refusals of whatever is sent. Any other may be due to one message of a request.
_OF_ALL = (401, 403, 404)

# What to do about them; the rest speaks for itself.
_ADVICE = {
    401: "these credentials are not accepted",
    403: "this process's service account needs roles/pubsub.publisher",
    404: "manage.py provision_tasks makes the topic",
}


class NoToken(Exception):
    """Google gave no access token; the cause is chained."""


class GivenUp(Exception):
    """One of the messages is not waited for any more, so the request is made anew without it."""


class Failure(NamedTuple):
    reason: str
    cause: BaseException
    is_transient: bool  # worth another try
    is_uncertain: bool  # the broker may have the message
    may_be_of_one: bool = False  # message of the request, and the others would be accepted


def explain(error: Exception, *, sent: bool) -> Failure:
    """What a failed request means.

    https://cloud.google.com/pubsub/docs/reference/error-codes
    """
    from aiohttp import ClientError, ClientResponseError, InvalidURL

    stage, advice = "", _ADVICE
    if isinstance(error, NoToken) and isinstance(error.__cause__, Exception):
        stage, advice, error = "no access token for these credentials: ", {}, error.__cause__
    match error:
        case ClientResponseError(status=status):
            is_final = 400 <= status < 500 and status != 429 and status not in _RETRIED
            is_refusal = is_final or status == 429
            # What Google says of a bad request may quote it.
            reason = _said(error) if stage or status != 400 else str(status)
            error = _without_secrets(error, reason)
            reason = ": ".join(filter(None, (reason, advice.get(status))))
            is_of_one = is_final and not stage and status not in _OF_ALL
            in_doubt = sent and not is_refusal
            return Failure(stage + reason, error, not is_final, in_doubt, is_of_one)
        case InvalidURL():
            is_transient = False
        case GivenUp():
            is_transient = True
        case ClientError() | OSError() | json.JSONDecodeError():  # TimeoutError is an OSError
            is_transient = True
        case _:
            is_transient = sent and isinstance(error, ValueError)
    reason = str(error) or "no answer in time"
    return Failure(stage + reason, error, is_transient, is_uncertain=sent)


def _said(error: "ClientResponseError") -> str:
    """The status, and Google's reason where it has Google's form."""
    text = str(error.status) if error.status >= 400 else f"{error.status}, not JSON"
    with contextlib.suppress(ValueError, RecursionError):
        # gcloud-aio puts the answer's body behind the phrase of the status.
        match json.loads(error.message.partition(": ")[2]):
            case {"error": {"message": str(reason)}} | {"error_description": str(reason)}:
                text += f" {reason}"
            case {"error": str(reason)}:
                text += f" {reason}"
    return "".join(letter if letter.isprintable() else " " for letter in text[:200])


def _without_secrets(error: "ClientResponseError", message: str) -> "ClientResponseError":
    """The error without the request's headers, which hold the token, and the answer's body."""
    from aiohttp import ClientResponseError, RequestInfo
    from multidict import CIMultiDict, CIMultiDictProxy

    asked = error.request_info
    bare = RequestInfo(asked.url, asked.method, CIMultiDictProxy(CIMultiDict()), asked.real_url)
    return ClientResponseError(bare, (), status=error.status, message=message)
