"""BackendOptions: TASKS[alias]["OPTIONS"], parsed once, checked and frozen."""

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, NamedTuple, Required, TypedDict
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

GOOGLE_CERTS_URL = "https://www.googleapis.com/oauth2/v1/certs"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class Problem(NamedTuple):
    """Something wrong in the settings or the routes; checks.py reports it under its id."""

    id: str
    message: str
    hint: str | None = None


class InvalidConfiguration(ImproperlyConfigured):
    """The settings of asgi_tasks are wrong. `manage.py check` shows each mistake with a hint."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "; ".join(f"{problem.message} ({problem.id})" for problem in self.problems)
        )


class PubSubOptions(TypedDict, total=False):
    """TASKS[alias]["OPTIONS"], for editors and type checkers; BackendOptions says what each is."""

    project_id: Required[str]
    routes: Required[str]
    service_url: Required[str]
    push_service_account: Required[str]
    environment: str
    topic_prefix: str
    push_path: str
    push_audience: str
    certs_url: str
    publish_timeout: float
    threads: int
    signing_key: str | Sequence[str]
    max_message_bytes: int
    service_timeout: float
    log_results: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """The options of PubSubBackend. Times are in seconds, sizes in bytes."""

    project_id: str
    routes: str  # a module with `task_routes`, or the dotted path of a list
    service_url: str  # where Pub/Sub reaches this service: https://host
    push_service_account: str  # the account whose tokens pushes carry
    environment: str = "dev"  # first part of every name in Pub/Sub
    topic_prefix: str = "tasks"
    push_path: str = "/tasks/pubsub/"
    push_audience: str = ""  # of the tokens; the endpoint's URL unless given
    certs_url: str = GOOGLE_CERTS_URL
    publish_timeout: float = 10  # the whole budget of one enqueue
    threads: int = 8  # lanes for sync work
    # SECRET_KEY and its fallbacks unless given; of several the first signs, and all verify
    signing_key: str | Sequence[str] = field(default="", repr=False)
    max_message_bytes: int = 9_000_000  # Pub/Sub takes 10 MB a request
    service_timeout: float = 300  # Cloud Run's request timeout
    log_results: bool = True  # the first 200 characters of a result

    def __post_init__(self) -> None:
        if isinstance(self.signing_key, list):
            object.__setattr__(self, "signing_key", tuple(self.signing_key))

    @property
    def endpoint(self) -> str:
        """The URL Pub/Sub pushes to."""
        return self.service_url.rstrip("/") + self.push_path

    @property
    def audience(self) -> str:
        """The `aud` that a push's token has to carry."""
        return self.push_audience or self.endpoint

    @property
    def signing_keys(self) -> tuple[str, ...]:
        """The key that signs messages, then all that still verify them."""
        if not self.signing_key:
            return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        return (self.signing_key,) if isinstance(self.signing_key, str) else (*self.signing_key,)

    @property
    def max_body_bytes(self) -> int:
        """The largest push body that can carry a message: base64, and room for the attributes.

        They are 128 kB at the most, and six times that where JSON has to escape every byte.
        """
        return self.max_message_bytes * 4 // 3 + 1_000_000


def parse_options(raw: Mapping[str, Any]) -> BackendOptions:
    """The options of this mapping. Raise InvalidConfiguration naming all that is wrong."""
    problems = [*_find_unknown(raw), *_find_missing(raw), *_find_invalid(raw)]
    if problems:
        raise InvalidConfiguration(problems)
    return BackendOptions(**raw)


@functools.cache
def get_options(alias: str) -> BackendOptions:
    """The options of TASKS[alias], parsed once a process. See parse_options()."""
    return parse_options(settings.TASKS[alias].get("OPTIONS") or {})


@receiver(setting_changed)
def clear_options(*, setting: str, **kwargs: Any) -> None:
    """Forget the options when a test changes the settings they come from."""
    if setting in {"TASKS", "SECRET_KEY", "SECRET_KEY_FALLBACKS"}:
        get_options.cache_clear()


_FIELDS = {field.name: field for field in fields(BackendOptions)}
_REQUIRED = [name for name, field in _FIELDS.items() if field.default is MISSING]


def _find_unknown(raw: Mapping[str, Any]) -> Iterable[Problem]:
    for name in (name for name in raw if name not in _FIELDS):
        near = difflib.get_close_matches(str(name).lower(), _FIELDS, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}?" if near else f"The options are: {', '.join(_FIELDS)}."
        yield Problem("asgi_tasks.E001", f"{name!r} is not an option of PubSubBackend.", hint)


def _find_missing(raw: Mapping[str, Any]) -> Iterable[Problem]:
    for name in _REQUIRED:
        if _is_missing(raw, name):
            check_id = "asgi_tasks.E002" if name == "project_id" else "asgi_tasks.E003"
            hint = f"Set it in TASKS[...]['OPTIONS'][{name!r}]."
            yield Problem(check_id, f"The option {name!r} is missing.", hint)


def _find_invalid(raw: Mapping[str, Any]) -> Iterable[Problem]:
    for name, (is_valid, wanted) in _RULES.items():
        if name not in raw or _is_missing(raw, name) or is_valid(raw[name]):
            continue
        value = raw[name]
        shown = repr(value) if _FIELDS[name].repr else f"a {type(value).__name__}"
        hint = "Leave it out for the default." if value is None else f"It has to be {wanted}."
        yield Problem("asgi_tasks.E004", f"The option {name!r} is {shown}.", hint)


def _is_missing(raw: Mapping[str, Any], name: str) -> bool:
    return name in _REQUIRED and raw.get(name) in (None, "")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and value == value.strip()


def _matches(pattern: str) -> Callable[[Any], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _is_number(low: float, high: float) -> Callable[[Any], bool]:
    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and value is not True and low <= value <= high

    return is_number


def _is_integer(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and _is_number(low, high)(value)


def _is_url(value: Any) -> bool:
    """Whether it is https, or http to this very machine, with nothing secret in it."""
    if not _is_text(value) or " " in value:
        return False
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK_HOSTS)
    return bool(host) and is_safe and "@" not in parts.netloc and not parts.fragment


def _is_keys(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(key, str) and key for key in value)
    return isinstance(value, str) and bool(value)


def _is_origin(value: Any) -> bool:
    return _is_url(value) and urlsplit(value).path in ("", "/") and not set("?#") & set(value)


_is_project = _matches(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]*")  # an old id bears a domain
_is_email = _matches(r"[^@\s:]+@[^@\s:]+")  # a colon: it is IAM's "serviceAccount:..."
_is_path = _matches(r"/[\w.~/-]+")  # as it stands in the request: nothing to unquote
_is_name = _matches(r"[A-Za-z][A-Za-z0-9-]*")
_URL = "an https URL; http is accepted for this machine alone (localhost, 127.0.0.1)"
_NAME = "letters, digits and hyphens, a letter first"
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "project_id": (_is_project, "the id of a Google Cloud project, not its number or path"),
    "routes": (_is_text, "the dotted path of a module or of a list"),
    "service_url": (_is_origin, f"{_URL}, without a path"),
    "push_service_account": (_is_email, "an e-mail address"),
    "environment": (_is_name, _NAME),
    "topic_prefix": (_is_name, _NAME),
    "push_path": (_is_path, "an absolute path such as '/tasks/pubsub/'"),
    "push_audience": (_is_text, "a string"),
    "certs_url": (_is_url, _URL),
    "publish_timeout": (_is_number(0.1, 600), "0.1 to 600 seconds"),
    "threads": (_is_integer(1, 1000), "a whole number from 1 to 1000"),
    "signing_key": (_is_keys, "a string, not empty, or a list of such: the first signs"),
    "max_message_bytes": (_is_integer(1_000, 9_900_000), "1,000 to 9,900,000 bytes"),
    "service_timeout": (_is_number(1, 3600), "1 to 3600 seconds"),
    "log_results": (lambda value: isinstance(value, bool), "True or False"),
}
