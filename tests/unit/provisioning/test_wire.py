"""What is sent to Google, read back."""

from dataclasses import replace
from datetime import timedelta

import pytest
from google.cloud.pubsub_v1 import types
from google.iam.v1 import policy_pb2

from asgi_tasks import TaskRoute
from asgi_tasks.provisioning import wire
from tests.site import tasks

from .builders import AGENT, wanted

DESIRED = wanted(TaskRoute(tasks.add))
PUSHED = DESIRED.routes[0].subscription
PULLED = DESIRED.dead_letters.subscription


def sent(subscription):
    return types.Subscription(wire.subscription_request(subscription))


def plain(message):
    return type(message).pb(message)


@pytest.mark.parametrize(
    "subscription",
    [
        PUSHED,
        PULLED,
        replace(PUSHED, expires_after=86_400.0),
        replace(PULLED, min_retry_delay=0.0, max_retry_delay=600.0),
    ],
    ids=["pushed", "pulled", "expires", "retries at once"],
)
def test_subscription_is_read_as_it_was_sent(subscription):
    assert wire.subscription_from(plain(sent(subscription))) == subscription


def test_topic_is_read_as_it_was_sent():
    topic = DESIRED.routes[0].topic
    assert wire.topic_from(plain(types.Topic(wire.topic_request(topic)))) == topic


# Set and empty is never; not set is after 31 idle days.
@pytest.mark.parametrize("subscription", [PUSHED, PULLED], ids=["pushed", "pulled"])
def test_no_subscription_expires_as_google_reads_it(subscription):
    message = sent(subscription)
    assert "expiration_policy" in message
    assert "ttl" not in message.expiration_policy


def test_subscription_without_an_expiration_policy_expires():
    live = wire.subscription_from(plain(types.Subscription(name="a")))
    assert live.expires_after == timedelta(days=31).total_seconds()


def test_subscription_without_a_retry_policy_is_not_one_without_delay():
    live = wire.subscription_from(plain(types.Subscription(name="a")))
    assert (live.min_retry_delay, live.max_retry_delay) == (None, None)


@pytest.mark.parametrize("config", ["bigquery_config", "cloud_storage_config"])
def test_export_is_recognized(config):
    message = types.Subscription({"name": "a", config: {}})
    assert wire.subscription_from(plain(message)).export == config


def test_unwrapped_pushes_are_recognized():
    push = {"push_endpoint": "https://x", "no_wrapper": {"write_metadata": True}}
    message = types.Subscription({"name": "a", "push_config": push})
    assert wire.subscription_from(plain(message)).unwrapped


class TestGrant:
    role = "roles/pubsub.subscriber"

    def test_is_added_to_its_role(self):
        policy = policy_pb2.Policy()
        policy.bindings.add(role=self.role, members=["user:a@b"])
        wire.add_grant(policy, self.role, AGENT)
        assert wire.grants_from(policy) == {(self.role, "user:a@b"), (self.role, AGENT)}
        assert len(policy.bindings) == 1

    def test_leaves_other_bindings(self):
        policy = policy_pb2.Policy(etag=b"1")
        policy.bindings.add(role="roles/viewer", members=["user:a@b"])
        wire.add_grant(policy, self.role, AGENT)
        assert wire.grants_from(policy) == {("roles/viewer", "user:a@b"), (self.role, AGENT)}
        assert policy.etag == b"1"

    def test_under_a_condition_does_not_count_and_is_left_alone(self):
        policy = policy_pb2.Policy(version=3)
        conditional = policy.bindings.add(role=self.role, members=[AGENT])
        conditional.condition.expression = "false"
        assert wire.grants_from(policy) == set()
        wire.add_grant(policy, self.role, AGENT)
        assert [len(binding.members) for binding in policy.bindings] == [1, 1]
