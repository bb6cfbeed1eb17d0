from dataclasses import FrozenInstanceError

import pytest
from django.core.exceptions import ImproperlyConfigured

from asgi_tasks.conf import (
    GOOGLE_CERTS_URL,
    BackendOptions,
    InvalidConfiguration,
    get_options,
    parse_options,
)

REQUIRED = {
    "project_id": "gyrinx-1",
    "routes": "gyrinx.task_routes",
    "service_url": "https://gyrinx.app",
    "push_service_account": "pubsub-invoker@gyrinx-1.iam.gserviceaccount.com",
}
URLS = {
    "right": [
        "https://a.example",
        "https://a.example:8443",
        "http://localhost:8000",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "https://[2001:db8::1]",
    ],
    "wrong": [
        "",
        "a.example",
        "//a.example",
        "http://a.example",
        "ftp://a.example",
        "https://",
        "https://user@a.example",
        "https://user:secret@a.example",
        "https://a.example:port",
        "https://a.example:99999",
        "https://[::1",
        "https://a.example#x",
        "https://a b.example",
        " https://a.example",
        "https://a.example\n",
        "http://localhost.a.example",
        "http://127.0.0.1@a.example",
        "javascript:alert(1)",
        None,
        1,
        b"https://a.example",
    ],
}
NAMES = {
    "right": ["dev", "PROD", "gyrinx-tasks", "a", "a1"],
    "wrong": ["", "1a", "-a", "a_b", "a.b", "a b", "é", "a²", "a\n", None, 1, True, ["dev"]],
}
RIGHT = {
    "project_id": ["gyrinx-1", "tests", "example.com:gyrinx"],
    "routes": ["gyrinx.task_routes", "task_routes"],
    "service_url": [*URLS["right"], "https://a.example/"],
    "push_service_account": ["a@b.iam.gserviceaccount.com"],
    "environment": NAMES["right"],
    "topic_prefix": NAMES["right"],
    "push_path": ["/tasks/pubsub/", "/_/push", "/v1.2/push~x"],
    "push_audience": ["", "gyrinx", "https://gyrinx.app/tasks/pubsub/"],
    "certs_url": [*URLS["right"], GOOGLE_CERTS_URL, "https://a.example/certs?alt=json"],
    "publish_timeout": [0.1, 10, 2.5, 600],
    "threads": [1, 8, 1000],
    "signing_key": ["a secret key", ("new", "old")],
    "max_message_bytes": [1_000, 9_900_000],
    "service_timeout": [1, 0.5e1, 3600],
    "log_results": [True, False],
}
WRONG = {
    # Missing is a check of its own: "" and None are in test_required_option_left_empty.
    "project_id": ["123456789", "projects/gyrinx-1", "Gyrinx", "a b", "a/b", "a\n", " a", 1, ["a"]],
    "routes": [" a", "a\n", 1, ["gyrinx.task_routes"], []],
    "service_url": [value for value in URLS["wrong"] if value not in ("", None)]
    + ["https://a.example/tasks", "https://a.example?x=1", "https://a.example?"],
    "push_service_account": ["pusher", "a@", "@b", "a b@c", "serviceAccount:a@b", "a@b@c", 1],
    "environment": NAMES["wrong"],
    "topic_prefix": NAMES["wrong"],
    "push_path": [
        "",
        "/",
        "tasks/",
        "/tasks?x",
        "/tasks#x",
        "/a b/",
        "/a\n",
        "/%41",
        "/é/",
        None,
        1,
    ],
    "push_audience": [" a", "a\n", "a\nb", None, 1, ["a"]],
    "certs_url": URLS["wrong"],
    "publish_timeout": [0, 0.09, 601, -1, float("nan"), float("inf"), "10", "", None, True],
    "threads": [0, 1001, 8.0, "8", "", None, True, False],
    "signing_key": ["", b"bytes", None, 1, [], [""], ["new", 1]],
    "max_message_bytes": [999, 9_900_001, 1e6, "1000", "", None, True],
    "service_timeout": [0, 3601, "300", "", None, True, float("nan")],
    "log_results": [0, 1, "", "False", None],
}


def problems(**options):
    """What is wrong with these options, the required ones given."""
    try:
        parse_options(REQUIRED | options)
    except InvalidConfiguration as error:
        return error.problems
    return ()


def cases(table):
    return [(name, value) for name, values in table.items() for value in values]


@pytest.mark.parametrize("table", [RIGHT, WRONG], ids=["right", "wrong"])
def test_every_option_is_in_the_table(table):
    assert list(table) == list(BackendOptions.__dataclass_fields__)


@pytest.mark.parametrize(("name", "value"), cases(RIGHT), ids=repr)
def test_right_value_is_taken_as_it_is(name, value):
    assert getattr(parse_options(REQUIRED | {name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), cases(WRONG), ids=repr)
def test_wrong_value_is_a_problem_of_that_option(name, value):
    [problem] = problems(**{name: value})
    assert (problem.id, repr(name) in problem.message) == ("asgi_tasks.E004", True)


def test_wrong_value_is_told_what_it_has_to_be():
    [problem] = problems(threads=0)
    assert problem.hint == "It has to be a whole number from 1 to 1000."


def test_optional_value_of_none_is_told_to_be_left_out():
    [problem] = problems(threads=None)
    assert problem.hint == "Leave it out for the default."


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", REQUIRED)
def test_required_option_left_empty_is_missing(name, value):
    [problem] = problems(**{name: value})
    assert problem.message == f"The option {name!r} is missing."


@pytest.mark.parametrize(
    ("name", "check_id"),
    [(name, "asgi_tasks.E002" if name == "project_id" else "asgi_tasks.E003") for name in REQUIRED],
)
def test_required_option_left_out_has_its_id(name, check_id):
    with pytest.raises(InvalidConfiguration) as caught:
        parse_options({key: value for key, value in REQUIRED.items() if key != name})
    assert [problem.id for problem in caught.value.problems] == [check_id]


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("projectid", "project_id"),
        ("PROJECT_ID", "project_id"),
        ("project", "project_id"),
        ("route", "routes"),
        ("service_uri", "service_url"),
        ("service_account", "push_service_account"),
        ("enviroment", "environment"),
        ("prefix", "topic_prefix"),
        ("path", "push_path"),
        ("audience", "push_audience"),
        ("cert_url", "certs_url"),
        ("publishTimeout", "publish_timeout"),
        ("thread", "threads"),
        ("signing_keys", "signing_key"),
        ("max_bytes", "max_message_bytes"),
        ("log_result", "log_results"),
    ],
)
def test_misspelt_option_names_the_nearest(misspelt, meant):
    [problem] = problems(**{misspelt: "x"})
    assert (problem.id, problem.hint) == ("asgi_tasks.E001", f"Did you mean {meant!r}?")


@pytest.mark.parametrize("name", ["qqq", 7], ids=repr)
def test_option_near_to_none_is_shown_them_all(name):
    [problem] = problems_of(REQUIRED | {name: 1})
    assert all(option in problem.hint for option in BackendOptions.__dataclass_fields__)


def problems_of(raw):
    with pytest.raises(InvalidConfiguration) as caught:
        parse_options(raw)
    return caught.value.problems


def test_all_mistakes_are_reported_at_once_and_in_order():
    raw = {"zebra": 1, "aardvark": 1, "threads": 0, "log_results": 1}
    ids = [problem.id[-4:] for problem in problems_of(raw)]
    assert ids == ["E001", "E001", "E002", "E003", "E003", "E003", "E004", "E004"]


def test_mistake_is_an_improperly_configured_with_message_and_id():
    with pytest.raises(ImproperlyConfigured, match=r"'threads' is 0\. \(asgi_tasks\.E004\)"):
        parse_options(REQUIRED | {"threads": 0})


def test_signing_key_is_not_shown_when_it_is_wrong():
    [problem] = problems(signing_key=b"a secret")
    assert "secret" not in f"{problem}"


def test_signing_key_is_not_in_the_repr():
    assert "a secret" not in repr(parse_options(REQUIRED | {"signing_key": "a secret"}))


def test_defaults_are_those_of_the_reference():
    options = parse_options(REQUIRED)
    assert {name: getattr(options, name) for name in RIGHT if name not in REQUIRED} == {
        "environment": "dev",
        "topic_prefix": "tasks",
        "push_path": "/tasks/pubsub/",
        "push_audience": "",
        "certs_url": "https://www.googleapis.com/oauth2/v1/certs",
        "publish_timeout": 10,
        "threads": 8,
        "signing_key": "",
        "max_message_bytes": 9_000_000,
        "service_timeout": 300,
        "log_results": True,
    }


def test_options_are_frozen():
    with pytest.raises(FrozenInstanceError):
        parse_options(REQUIRED).threads = 1


@pytest.mark.parametrize("service_url", ["https://gyrinx.app", "https://gyrinx.app/"])
def test_endpoint_is_the_service_url_and_the_push_path(service_url):
    options = parse_options(REQUIRED | {"service_url": service_url})
    assert options.endpoint == "https://gyrinx.app/tasks/pubsub/"


@pytest.mark.parametrize(
    ("given", "audience"), [({}, "https://gyrinx.app/tasks/pubsub/"), ({"push_audience": "x"}, "x")]
)
def test_audience_is_the_endpoint_unless_given(given, audience):
    assert parse_options(REQUIRED | given).audience == audience


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({}, ("site", "old", "older")),
        ({"signing_key": "own"}, ("own",)),
        ({"signing_key": ["own", "site"]}, ("own", "site")),
    ],
    ids=["none", "one", "several"],
)
def test_signing_keys_are_the_secret_key_and_its_fallbacks_unless_given(settings, given, keys):
    settings.SECRET_KEY = "site"
    settings.SECRET_KEY_FALLBACKS = ["old", "older"]
    assert parse_options(REQUIRED | given).signing_keys == keys


def test_options_with_several_signing_keys_are_hashable():
    assert hash(parse_options(REQUIRED | {"signing_key": ["new", "old"]}))


def test_body_cap_has_room_for_the_largest_message():
    options = parse_options(REQUIRED | {"max_message_bytes": 9_900_000})
    # base64; 100 attributes at their longest and those of a dead letter; the envelope.
    assert options.max_body_bytes > 4 * 9_900_000 // 3 + 105 * (256 + 1024) + 2_000


class TestGetOptions:
    def test_options_are_parsed_once(self, settings):
        settings.TASKS = {"default": {"BACKEND": "x", "OPTIONS": REQUIRED}}
        assert get_options("default") is get_options("default")

    @pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_FALLBACKS", "TASKS"])
    def test_options_are_parsed_again_after_a_change(self, settings, name):
        before = get_options("default")
        setattr(settings, name, getattr(settings, name))
        assert get_options("default") is not before

    @pytest.mark.parametrize("backend", [{}, {"OPTIONS": {}}, {"OPTIONS": None}], ids=repr)
    def test_backend_without_options_misses_the_required_ones(self, settings, backend):
        settings.TASKS = {"default": {"BACKEND": "asgi_tasks.backends.PubSubBackend"} | backend}
        with pytest.raises(InvalidConfiguration) as caught:
            get_options("default")
        assert len(caught.value.problems) == len(REQUIRED)
