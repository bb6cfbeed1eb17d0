"""Names, as topics and subscriptions have them, and page tokens."""

from itertools import chain

import pytest
from google.pubsub_v1 import types

from asgi_tasks.emulator.api import checks
from asgi_tasks.emulator.api.paging import page
from asgi_tasks.emulator.broker.names import full_name
from asgi_tasks.emulator.errors import InvalidArgument

NAMES = [f"name-{number:04}" for number in range(1_500)]


@pytest.mark.parametrize("name", ["abc", "a-._~+%Z", "a" * 255])
def test_good_name_is_taken(name):
    full = f"projects/p/topics/{name}"
    assert checks.checked_name("topics", "topic", full) == full


@pytest.mark.parametrize(
    "name",
    [
        "tasks",
        "projects/p/subscriptions/tasks",
        "projects//topics/tasks",
        "projects/p\nline/topics/tasks",
        "projects/p\x1b[31m/topics/tasks",
        "projects/p/topics/",
        "projects/p/topics/ab",
        "projects/p/topics/" + "a" * 256,
        "projects/p/topics/1st",
        "projects/p/topics/google",
        "projects/p/topics/a b c",
        "projects/p/topics/é-tasks",
        "projects/p/topics/tasks\n",
        "projects/p/topics/tasks/more",
        "_deleted-topic_",
    ],
)
def test_bad_name_is_refused_with_its_field(name):
    with pytest.raises(InvalidArgument) as refused:
        checks.checked_name("topics", "topic", name)
    assert refused.value.message.startswith(f"topic: {name!r} is not projects/PROJECT/topics/NAME")


def test_project_is_taken():
    assert checks.checked_project("projects/p") == "projects/p"


@pytest.mark.parametrize("name", ["", "p", "projects/", "projects/p/topics", "projects/p/"])
def test_bad_project_is_refused(name):
    with pytest.raises(InvalidArgument, match=r"^project: "):
        checks.checked_project(name)


@pytest.mark.parametrize("value", [10, 10.0, 600])
def test_value_within_its_limits_is_taken(value):
    assert checks.within("field", value, 10, 600) == value


@pytest.mark.parametrize("value", [9, 9.99, 601, float("nan")])
def test_value_outside_its_limits_is_refused(value):
    with pytest.raises(InvalidArgument, match=r"^field: .* is not within 10 to 600"):
        checks.within("field", value, 10, 600)


@pytest.mark.parametrize(
    ("name", "full"), [("tasks", "projects/p/topics/tasks"), ("projects/q/topics/a",) * 2]
)
def test_short_name_is_the_projects(name, full):
    assert full_name("p", "topics", name) == full


def pages(size):
    found, token = [], ""
    while True:
        request = types.ListTopicsRequest(page_size=size, page_token=token)
        some, token = page(NAMES, request, str)
        found.append(some)
        if not token:
            return found


@pytest.mark.parametrize(
    ("size", "lengths"),
    [(0, [100] * 15), (700, [700, 700, 100]), (750, [750, 750]), (5_000, [1_000, 500])],
)
def test_pages_together_are_the_list(size, lengths):
    found = pages(size)
    assert [len(some) for some in found] == lengths
    assert list(chain.from_iterable(found)) == NAMES


def test_page_after_one_that_is_gone_goes_on():
    request = types.ListTopicsRequest(page_size=2, page_token="name-0001x")
    assert page(NAMES, request, str) == (["name-0002", "name-0003"], "name-0003")


def test_empty_list_has_one_page():
    assert page([], types.ListTopicsRequest(), str) == ([], "")


def test_negative_page_size_is_refused():
    with pytest.raises(InvalidArgument, match=r"^page_size: "):
        page(NAMES, types.ListTopicsRequest(page_size=-1), str)
