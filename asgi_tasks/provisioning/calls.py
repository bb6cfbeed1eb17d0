"""One call of Google's: repeated for a while, and explained when it fails."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from .problems import LOGIN, CallFailed, Conflict, Context, refused
from .resources import Grant

NO_EMULATOR: Final = (
    ". Is the emulator of PUBSUB_EMULATOR_HOST running? Start it: python -m asgi_tasks.emulator"
)
CALL_TIMEOUT: Final = 60.0  # seconds, repeats included: quotas are per minute


def limits(timeout: float) -> dict[str, Any]:
    """How long a call may take, and what is worth another try."""
    from google.api_core import exceptions as errors
    from google.api_core.retry import Retry, if_exception_type

    passes = if_exception_type(
        errors.ResourceExhausted, errors.ServiceUnavailable, errors.InternalServerError
    )

    def again(error: Exception) -> bool:
        return passes(error) and not _is_emulator_away(error)

    retry = Retry(predicate=again, initial=0.2, maximum=15, timeout=timeout)
    return {"retry": retry, "timeout": timeout}


@contextmanager
def explained(
    action: str, permissions: Iterable[str], context: Context, grant: Grant | None = None
) -> Iterator[None]:
    """Turn what Google's clients raise into CallFailed, with what helps."""
    from google.api_core import exceptions as errors
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

    try:
        yield
    except (errors.AlreadyExists, errors.NotFound) as error:
        raise Conflict(f"Could not {action}: {error.message}") from error
    except errors.PermissionDenied as error:
        raise refused(error, action, permissions, _with_caller(context), grant) from error
    except (DefaultCredentialsError, errors.Unauthenticated) as error:
        raise CallFailed(f"Could not {action}: {error}", commands=[LOGIN]) from error
    except errors.RetryError as error:
        raise CallFailed(f"Could not {action}: {error.cause or error}") from error
    except (errors.GoogleAPIError, GoogleAuthError) as error:
        advice = NO_EMULATOR if _is_emulator_away(error) else ""
        raise CallFailed(f"Could not {action}: {error}{advice}") from error


def _is_emulator_away(error: Exception) -> bool:
    """Whether nobody listens where the emulator should: that does not pass by itself."""
    return (
        bool(os.environ.get("PUBSUB_EMULATOR_HOST")) and "failed to connect" in str(error).lower()
    )


def _with_caller(context: Context) -> Context:
    """So that the commands name who has to be given something."""
    caller = _caller()
    return replace(context, caller=caller) if caller else context


def _caller() -> str | None:
    """Who runs this, as a member of IAM, if the credentials tell."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    if os.environ.get("PUBSUB_EMULATOR_HOST"):
        return None
    try:
        credentials, _ = google.auth.default()
        return member(credentials)
    except GoogleAuthError:
        return None


def member(credentials: Any) -> str | None:
    """The member of IAM behind Google's credentials. Raise GoogleAuthError."""
    from google.auth.transport.requests import Request

    if getattr(credentials, "service_account_email", None) == "default":
        credentials.refresh(Request())  # asks Cloud Run who we are
    account = getattr(credentials, "service_account_email", None)
    if account and "@" in account:
        return f"serviceAccount:{account}"
    person = getattr(credentials, "account", None)
    return f"user:{person}" if person else None
