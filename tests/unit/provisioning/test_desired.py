import pytest

from asgi_tasks import TaskRoute
from asgi_tasks.provisioning import Grant, Subscription
from tests.site import tasks

from .builders import AGENT, SUBSCRIPTIONS, TOPICS, one_route, wanted

DAY = 24 * 3600


def names(desired):
    return [name for pair in desired for name in (pair.topic.name, pair.subscription.name)]


def test_site_without_routes_has_its_dead_letters():
    assert names(wanted()) == [f"{TOPICS}-dead-letter", f"{SUBSCRIPTIONS}-dead-letter-sub"]


def test_each_name_and_alias_has_a_topic_and_a_subscription():
    assert names(wanted(TaskRoute(tasks.add, aliases=["sum"]))) == [
        f"{TOPICS}-dead-letter",
        f"{SUBSCRIPTIONS}-dead-letter-sub",
        f"{TOPICS}-add",
        f"{SUBSCRIPTIONS}-add-sub",
        f"{TOPICS}-sum",
        f"{SUBSCRIPTIONS}-sum-sub",
    ]


def test_push_subscription_has_what_its_route_says():
    pair = one_route(
        ack_deadline=60, min_retry_delay=5, max_retry_delay=50, max_delivery_attempts=7
    )
    assert pair.subscription == Subscription(
        name=f"{SUBSCRIPTIONS}-add-sub",
        topic=f"{TOPICS}-add",
        endpoint="https://gyrinx.app/tasks/pubsub/",
        service_account="invoker@gyrinx-1.iam.gserviceaccount.com",
        audience="https://gyrinx.app/tasks/pubsub/",
        ack_deadline=60,
        min_retry_delay=5,
        max_retry_delay=50,
        dead_letter_topic=f"{TOPICS}-dead-letter",
        max_delivery_attempts=7,
        retention=7 * DAY,
        expires_after=None,
        labels={"managed-by": "asgi-tasks", "environment": "prod", "route": "add"},
    )


def test_token_of_a_push_is_for_the_audience_given():
    (pair,) = wanted(TaskRoute(tasks.add), push_audience="gyrinx").routes
    assert pair.subscription.audience == "gyrinx"


def test_dead_letters_are_pulled_and_kept_a_month():
    subscription = wanted().dead_letters.subscription
    assert (subscription.endpoint, subscription.dead_letter_topic) == ("", "")
    assert (subscription.retention, subscription.expires_after) == (31 * DAY, None)


def test_service_agent_takes_from_each_subscription_and_publishes_dead_letters():
    desired = wanted(TaskRoute(tasks.add))
    topic, subscription = f"{TOPICS}-dead-letter", f"{SUBSCRIPTIONS}-add-sub"
    assert [pair.grant for pair in desired] == [
        Grant(resource=topic, role="roles/pubsub.publisher", member=AGENT),
        Grant(resource=subscription, role="roles/pubsub.subscriber", member=AGENT),
    ]


def test_grants_are_left_to_others_without_the_agent():
    assert [pair.grant for pair in wanted(TaskRoute(tasks.add), agent=None)] == [None, None]


@pytest.mark.parametrize(
    ("name", "environment", "expected"),
    [
        ("send.Welcome_email", "prod", ("send-welcome-email", "prod")),
        ("a" * 100, "Staging-2", ("a" * 63, "staging-2")),
        ("a", "E" * 70, ("a", "e" * 63)),
    ],
)
def test_labels_are_such_as_google_takes(name, environment, expected):
    (pair,) = wanted(TaskRoute(tasks.add, name=name), environment=environment).routes
    labels = pair.topic.labels
    assert (labels["route"], labels["environment"]) == expected
    assert pair.subscription.labels == labels
