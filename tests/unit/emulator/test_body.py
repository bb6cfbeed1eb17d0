"""What stands in a push."""

import base64
import json

import pytest

from asgi_tasks.emulator.broker.model import DeadLetterPolicy
from asgi_tasks.emulator.push.body import wrapped
from tests.unit.emulator.scene import DEAD, PUSHED, SUB


@pytest.fixture
def pushed(scene):
    """The body of what is published; settings are the subscription's."""

    def push(data=b"x", key="", attributes=None, **settings):
        scene.subscribe(push=PUSHED, **settings)
        scene.publish(data, key, **(attributes or {}))
        [(subscription, lease)] = scene.broker.due_pushes()
        return json.loads(wrapped(subscription, lease))

    return push


def test_message_is_wrapped_as_google_does(pushed):
    wrapper = pushed(b"hello", "k", {"colour": "blue"})
    message = wrapper.pop("message")
    assert wrapper == {"subscription": SUB}
    assert base64.b64decode(message.pop("data")) == b"hello"
    assert message.pop("messageId") == message.pop("message_id")
    assert message == {
        "attributes": {"colour": "blue"},
        "orderingKey": "k",
        "publishTime": "1970-01-01T00:16:40.000000Z",
        "publish_time": "1970-01-01T00:16:40.000000Z",
    }


def test_what_is_not_set_is_left_out(pushed):
    message = pushed(b"")["message"]
    assert sorted(message) == ["messageId", "message_id", "publishTime", "publish_time"]


@pytest.mark.parametrize("policy", [None, DeadLetterPolicy(topic=DEAD)])
def test_delivery_attempt_is_told_only_with_a_dead_letter_policy(pushed, policy):
    assert pushed(dead_letter=policy).get("deliveryAttempt") == (1 if policy else None)
