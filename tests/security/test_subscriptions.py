"""A push is of the subscription that belongs to its task's name: all else about it may be right."""

import pytest
from django.tasks import task

from asgi_tasks import TaskRoute
from tests.pushes import make_body, make_message

OURS = "projects/tests/subscriptions/test-site-"

runs = []  # names of the tasks


@task
async def pay():
    runs.append("pay")


@task
async def refund():
    runs.append("refund")


@task
async def open_to_all():
    runs.append("open_to_all")


task_routes = [
    TaskRoute(pay, aliases=("old_pay", "older_pay")),
    TaskRoute(refund),
    TaskRoute(open_to_all, signed=False),
]
NAMES = {"pay": "pay", "old_pay": "pay", "older_pay": "pay", "refund": "refund"}
NAMES |= {"open_to_all": "open_to_all"}


@pytest.fixture(autouse=True)
def site(configure):
    configure(routes=__name__)
    runs.clear()


def subscription(name):
    return f"{OURS}{name.replace('_', '-')}-sub"


async def push(client, name, subscription):
    return await client.status(make_body(make_message(name), subscription=subscription))


@pytest.mark.parametrize(("name", "task_name"), NAMES.items())
async def test_each_name_has_its_own_subscription(client, name, task_name):
    assert await push(client, name, subscription(name)) == 204
    assert runs == [task_name]


@pytest.mark.parametrize("name", NAMES)
async def test_push_of_another_names_subscription_is_refused(client, name):
    """Aliases among them: neither the new name by the former subscription nor the reverse."""
    others = [subscription(other) for other in NAMES if other != name]
    assert [await push(client, name, other) for other in others] == [403] * 4
    assert runs == []


WRONG = {
    "another project": "projects/others/subscriptions/test-site-pay-sub",
    "our project's number": "projects/1234567890/subscriptions/test-site-pay-sub",
    "the project in upper case": "projects/TESTS/subscriptions/test-site-pay-sub",
    "another environment": f"{OURS}pay-sub".replace("test-site", "prod-site"),
    "another prefix": f"{OURS}pay-sub".replace("test-site", "test-tasks"),
    "the dead letters": f"{OURS}dead-letter-sub",
    "the topic's name": f"{OURS}pay",
    "a longer name": f"{OURS}pay-sub-2",
    "a name that ends alike": f"{OURS}x-pay-sub",
    "upper case": f"{OURS}Pay-sub",
    "underscore": "projects/tests/subscriptions/test-site-pay_sub",
}
MALFORMED = {
    "the short name": "test-site-pay-sub",
    "a topic": "projects/tests/topics/test-site-pay",
    "a path with a slash too many": f"{OURS}pay-sub/",
    "a path upwards": "projects/others/../tests/subscriptions/test-site-pay-sub",
    "a full URL": f"//pubsub.googleapis.com/{OURS}pay-sub",
    "a line break": f"{OURS}pay-sub\n",
    "a leading space": f" {OURS}pay-sub",
    "a homoglyph": f"{OURS}p\u0430y-sub",
    "a list": [f"{OURS}pay-sub"],
    "a number": 1,
}


@pytest.mark.parametrize("other", WRONG.values(), ids=WRONG)
async def test_push_of_another_subscription_is_refused(client, lines, other):
    assert await push(client, "pay", other) == 403
    assert runs == []
    [line] = lines()
    assert line.startswith("Push refused with 403: pay does not come from this subscription")


@pytest.mark.parametrize("other", MALFORMED.values(), ids=MALFORMED)
async def test_push_of_no_subscription_is_malformed(client, other):
    assert await push(client, "pay", other) == 400
    assert runs == []


@pytest.mark.parametrize("other", [WRONG["another project"], subscription("pay")])
async def test_open_route_is_no_exception(client, other):
    assert await push(client, "open_to_all", other) == 403
    assert runs == []


async def test_dead_letter_pushed_back_runs_nothing(client):
    """Somebody gives the dead letters a push subscription to our endpoint."""
    assert await push(client, "pay", f"{OURS}dead-letter-sub") == 403
    assert await push(client, "dead_letter", f"{OURS}dead-letter-sub") == 404
    assert runs == []
