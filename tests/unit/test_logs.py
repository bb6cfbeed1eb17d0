import json
import logging
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_tasks import current
from asgi_tasks.logs import (
    LONGEST_LINE,
    LONGEST_TEXT,
    LONGEST_TRACEBACK,
    CloudFormatter,
)
from tests.processes import python

FIELDS = {"task_name": "pay", "task_id": "7f", "message_id": "12", "attempt": 3}
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Unshowable:
    def __str__(self):
        raise ValueError("no")

    __repr__ = __str__


def record(message="text", *args, level=logging.INFO, exc_info=None, **extra):
    logger = logging.getLogger("shop.orders")
    return logger.makeRecord(
        logger.name, level, "shop/orders.py", 7, message, args, exc_info, extra=extra
    )


def line(*args, **extra):
    """What the formatter makes of a record, read by a strict reader of JSON."""
    text = CloudFormatter(project_id="my-project").format(record(*args, **extra))
    assert "\n" not in text
    return json.loads(text, parse_constant=pytest.fail)


def raised(error):
    try:
        raise error
    except Exception:
        return sys.exc_info()


def test_extra_field_whose_name_is_no_text_is_written():
    found = record("paid")
    found.__dict__[42] = "answer"
    fields = json.loads(CloudFormatter(project_id="my-project").format(found))
    assert (fields["message"], fields["42"]) == ("paid", "answer")


def test_line_has_the_fields_of_cloud_logging():
    before = datetime.now(UTC)
    found = line("paid %s", "42", order=42)
    assert before <= datetime.fromisoformat(found.pop("time")) <= datetime.now(UTC)
    assert found == {
        "severity": "INFO",
        "message": "paid 42",
        "logger": "shop.orders",
        "order": 42,
    }


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        (logging.DEBUG, "DEBUG"),
        (logging.INFO, "INFO"),
        (logging.INFO + 5, "INFO"),
        (logging.WARNING, "WARNING"),
        (logging.ERROR, "ERROR"),
        (logging.CRITICAL, "CRITICAL"),
        (99, "CRITICAL"),
        (1, "DEBUG"),
    ],
)
def test_severity_is_one_that_cloud_logging_knows(level, severity):
    assert line(level=level)["severity"] == severity


def test_traceback_is_a_field_of_its_own():
    found = line("failed", exc_info=raised(KeyError("card")))
    assert found["message"] == "failed"
    assert found["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert found["stack_trace"].endswith("KeyError: 'card'")


def test_line_of_a_task_tells_whose_it_is():
    with current.working_on(FIELDS):
        found = line()
    assert {name: found[name] for name in FIELDS} == FIELDS
    assert "task_id" not in line()


def test_own_fields_of_a_line_come_before_those_of_the_task():
    with current.working_on(FIELDS):
        assert line(attempt=7)["attempt"] == 7


def test_line_of_another_task_does_not_bear_what_the_running_one_has():
    with current.working_on(FIELDS):
        found = line(task_id="8a", task_name="ship", outcome="enqueued")
    assert (found["task_id"], found["task_name"]) == ("8a", "ship")
    assert not found.keys() & {"message_id", "attempt"}


@pytest.mark.parametrize("name", ["severity", "time", "logger"])
def test_field_of_ours_is_not_overwritten(name):
    assert line(level=logging.ERROR, **{name: "theirs"})[name] != "theirs"


@pytest.mark.parametrize("trace", [5, [1], "text"])
def test_field_named_trace_is_as_any_other(trace):
    found = line(trace=trace)
    assert found["trace"] == trace
    assert "logging.googleapis.com/trace" not in found


def test_line_bears_the_trace_of_the_push_where_there_is_no_span():
    with current.working_on({**FIELDS, "trace": TRACE}):
        found = line()
    assert found["logging.googleapis.com/trace"] == f"projects/my-project/traces/{TRACE}"
    assert "trace" not in found


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, "text", ["a", 1], {"a": {"b": [None]}}],
    ids=repr,
)
def test_json_stays_as_it_is(value):
    assert line(value=value)["value"] == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        ([float("inf")], "[inf]"),
        ({1, 2}, "{1, 2}"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        ({"a": b"b"}, {"a": "b'b'"}),
        ({("a",): 1}, "{('a',): 1}"),
    ],
    ids=repr,
)
def test_what_is_not_json_is_shown_as_text(value, shown):
    assert line(value=value)["value"] == shown


def test_lengths_are_bounded():
    found = line("x" * 100_000, exc_info=raised(ValueError("y" * 1_000_000)), list=["z"] * 10_000)
    assert len(found["message"]) < LONGEST_TEXT + 50
    assert found["message"].startswith("x")
    assert found["message"].endswith("x")
    assert "characters left out" in found["message"]
    assert LONGEST_TRACEBACK <= len(found["stack_trace"]) < LONGEST_TRACEBACK + 50
    assert len(found["list"]) < LONGEST_TEXT + 50


@pytest.mark.parametrize("letter", ["\N{HIRAGANA LETTER A}", "\N{SNAKE}", "\0"])
def test_line_that_json_makes_too_long_keeps_its_fields(letter):
    error = ValueError(letter * 60_000)
    found = line(letter * 9000, exc_info=raised(error), outcome="failed")
    assert found["outcome"] == "failed"
    assert found["message"].startswith(letter)
    assert found["stack_trace"].startswith("Traceback (most recent call last):")


def test_line_of_too_many_fields_is_told_of_in_one_that_is_short():
    text = CloudFormatter(project_id="p").format(
        record(**{f"field_{number}": "x" * 5000 for number in range(100)})
    )
    assert len(text) < LONGEST_LINE
    message = json.loads(text)["message"]
    assert message.startswith("What shop.orders logged at shop/orders.py:7 cannot be shown: ")


@pytest.mark.parametrize(
    "arguments",
    [
        {"message": "%s", "args": [Unshowable()]},
        {"message": "%d", "args": ["not a number"]},
        {"message": "text", "value": Unshowable()},
        {"message": "text", "value": 10**5000},
    ],
    ids=["argument", "format", "field", "number"],
)
def test_record_that_fails_to_show_itself_is_told_of_with_its_task(arguments):
    arguments = dict(arguments)
    with current.working_on(FIELDS):
        found = line(arguments.pop("message"), *arguments.pop("args", ()), **arguments)
    assert "shop/orders.py:7 cannot be shown" in found["message"]
    assert found["task_id"] == "7f"


def test_error_that_fails_to_show_itself_is_named():
    class Vicious(Exception):
        @property
        def __cause__(self):
            raise SystemError

    assert line("failed", exc_info=(Vicious, Vicious(), None)) | {"time": ""} == {
        "severity": "INFO",
        "time": "",
        "message": "failed",
        "logger": "shop.orders",
        "stack_trace": f"{Vicious.__qualname__}, which cannot be shown: SystemError",
    }


@given(st.text(), st.dictionaries(st.text(), st.recursive(st.floats() | st.text(), st.lists)))
def test_every_line_is_one_line_of_json(message, value):
    line("%s", message, value=value)


def test_missing_extra_is_named():
    code = """
import sys
sys.modules["pythonjsonlogger"] = None
try:
    import asgi_tasks.logs
except ModuleNotFoundError as error:
    print(error)
"""
    assert "pip install 'asgi-tasks[logs]'" in python("-c", code)


SITE = """
import logging
import sys

sys.stderr = sys.stdout  # what is read here
import django
from django.conf import settings
from asgi_tasks.logs import cloud_logging

settings.configure(LOGGING=cloud_logging("my-project"), DEBUG=True)
django.setup()
for name in ("asgi_tasks", "django.request", "django.tasks", "shop"):
    for level in ("error", "info", "debug"):
        getattr(logging.getLogger(name), level)("%s of %s", level, name)
"""


def test_cloud_logging_shows_each_line_once_and_none_of_djangos_tasks():
    lines = [json.loads(text) for text in python("-c", SITE).splitlines()]
    assert [found["message"] for found in lines] == [
        f"{level} of {name}"
        for name in ("asgi_tasks", "django.request", "shop")
        for level in ("error", "info")
    ]
