import pytest
from django.core.management import CommandError, call_command

from asgi_tasks import TaskRoute
from asgi_tasks.conf import parse_options
from asgi_tasks.provisioning import Subscription, Topic, desired, plan
from asgi_tasks.routes import RouteTable
from tests.site import tasks

OPTIONS = {
    "project_id": "gyrinx-1",
    "environment": "prod",
    "topic_prefix": "gyrinx-tasks",
    "routes": "gyrinx.task_routes",
    "service_url": "https://gyrinx.app",
    "push_service_account": "invoker@gyrinx-1.iam.gserviceaccount.com",
}
TOPICS = "projects/gyrinx-1/topics/prod-gyrinx-tasks"
SUBSCRIPTIONS = "projects/gyrinx-1/subscriptions/prod-gyrinx-tasks"


def wanted(*routes, **options):
    return desired(RouteTable(routes, parse_options(OPTIONS | options)))


def push_subscription(*, options=None, **fields):
    """The subscription of one route with these fields."""
    resources = wanted(TaskRoute(tasks.add, **fields), **(options or {}))
    return next(each for each in resources if each.name == f"{SUBSCRIPTIONS}-add-sub")


class TestDesired:
    def test_site_without_routes_has_its_dead_letters(self):
        assert [resource.name for resource in wanted()] == [
            f"{TOPICS}-dead-letter",
            f"{SUBSCRIPTIONS}-dead-letter-sub",
        ]

    def test_every_topic_is_followed_by_its_subscription(self):
        assert [resource.name for resource in wanted(TaskRoute(tasks.add, aliases=["sum"]))] == [
            f"{TOPICS}-dead-letter",
            f"{SUBSCRIPTIONS}-dead-letter-sub",
            f"{TOPICS}-add",
            f"{SUBSCRIPTIONS}-add-sub",
            f"{TOPICS}-sum",
            f"{SUBSCRIPTIONS}-sum-sub",
        ]

    def test_every_subscription_is_of_a_topic_made_before_it(self):
        made = set()
        for resource in wanted(TaskRoute(tasks.add), TaskRoute(tasks.fail, aliases=["old"])):
            assert isinstance(resource, Topic) or resource.topic in made
            made.add(resource.name)

    def test_push_subscription_has_what_its_route_says(self):
        subscription = push_subscription(
            ack_deadline=60, min_retry_delay=5, max_retry_delay=50, max_delivery_attempts=7
        )
        assert subscription == Subscription(
            name=f"{SUBSCRIPTIONS}-add-sub",
            topic=f"{TOPICS}-add",
            settings={
                "push_config": {
                    "push_endpoint": "https://gyrinx.app/tasks/pubsub/",
                    "oidc_token": {
                        "service_account_email": "invoker@gyrinx-1.iam.gserviceaccount.com",
                        "audience": "https://gyrinx.app/tasks/pubsub/",
                    },
                },
                "ack_deadline_seconds": 60,
                "retry_policy": {
                    "minimum_backoff": {"seconds": 5},
                    "maximum_backoff": {"seconds": 50},
                },
                "dead_letter_policy": {
                    "dead_letter_topic": f"{TOPICS}-dead-letter",
                    "max_delivery_attempts": 7,
                },
                "expiration_policy": {},
            },
        )

    def test_token_of_a_push_is_for_the_audience_given(self):
        push = push_subscription(options={"push_audience": "gyrinx"}).settings["push_config"]
        assert push["oidc_token"]["audience"] == "gyrinx"

    def test_alias_is_delivered_like_the_name(self):
        resources = wanted(TaskRoute(tasks.add, ack_deadline=60, aliases=["sum"]))
        one, other = [each for each in resources if isinstance(each, Subscription)][1:]
        assert one.settings == other.settings

    def test_dead_letters_are_pulled_and_kept_a_month(self):
        [subscription] = [each for each in wanted() if isinstance(each, Subscription)]
        assert subscription.settings == {
            "ack_deadline_seconds": 60,
            "message_retention_duration": {"seconds": 31 * 24 * 3600},
            "expiration_policy": {},
        }

    def test_no_subscription_expires_as_google_reads_it(self):
        from google.cloud.pubsub_v1 import types

        # Set and empty is never; not set is after 31 idle days.
        subscriptions = [each for each in wanted(TaskRoute(tasks.add)) if hasattr(each, "settings")]
        assert all(
            "expiration_policy" in types.Subscription(each.settings) for each in subscriptions
        )

    def test_same_routes_desire_the_same(self):
        assert wanted(TaskRoute(tasks.add)) == wanted(TaskRoute(tasks.add))


class TestPlan:
    resources = wanted(TaskRoute(tasks.add), TaskRoute(tasks.fail))
    names = tuple(resource.name for resource in resources)

    def test_empty_project_lacks_everything_in_order(self):
        assert plan(self.resources, []) == self.resources

    def test_provisioned_project_lacks_nothing(self):
        assert plan(self.resources, self.names) == []

    @pytest.mark.parametrize("missing", range(len(resources)))
    def test_what_is_missing_is_planned(self, missing):
        live = [name for name in self.names if name != self.names[missing]]
        assert plan(self.resources, live) == [self.resources[missing]]

    def test_foreign_resources_are_left_alone(self):
        foreign = [f"{TOPICS}-of-others", "projects/gyrinx-2/topics/prod-gyrinx-tasks-add"]
        assert plan(self.resources, [*self.names, *foreign]) == []

    def test_topic_of_the_same_name_in_another_project_does_not_count(self):
        live = [name.replace("gyrinx-1", "gyrinx-2") for name in self.names]
        assert plan(self.resources, live) == self.resources

    def test_live_names_may_be_an_iterator(self):
        assert plan(self.resources, reversed(self.names)) == []


def test_provisioning_without_the_backend_names_the_settings_to_choose(settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    with pytest.raises(CommandError, match="no PubSubBackend in TASKS"):
        call_command("provision_tasks")
