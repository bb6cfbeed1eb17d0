"""Filters; docs: subscription-message-filter."""

import pytest

from .deliveries import PATIENCE, pulled

MESSAGES = {
    "english com": {"lang": "en", "name": "com"},
    "english net": {"lang": "en", "name": "net"},
    "polish com": {"lang": "pl", "name": "com"},
    "polish": {"lang": "pl", "iana.org/language_tag": "pl-PL"},
    "co": {"name": "co", "empty": ""},
    "odd": {"みんな": "x", 'quo"ted': "a\\b"},
    "nothing": {"other": "x"},
}
EVERYTHING = set(MESSAGES)

MATCHING = {
    "attributes:lang": {"english com", "english net", "polish com", "polish"},
    "attributes:empty": {"co"},
    'attributes.lang = "en"': {"english com", "english net"},
    'attributes.lang="en"': {"english com", "english net"},
    'attributes.empty = ""': {"co"},
    'attributes.lang != "en"': EVERYTHING - {"english com", "english net"},
    'hasPrefix(attributes.name, "co")': {"english com", "polish com", "co"},
    'hasPrefix(attributes.name, "")': {"english com", "english net", "polish com", "co"},
    "NOT attributes:lang": {"co", "odd", "nothing"},
    "-attributes:lang": {"co", "odd", "nothing"},
    'NOT hasPrefix(attributes.name, "co")': {"english net", "polish", "odd", "nothing"},
    'attributes.lang = "en" AND attributes.name = "com"': {"english com"},
    'attributes.lang = "en" AND attributes:name AND NOT attributes.name = "net"': {"english com"},
    'attributes.name = "net" OR attributes.name = "co"': {"english net", "co"},
    'attributes.lang = "pl" AND (attributes.name = "com" OR attributes:"iana.org/language_tag")': {
        "polish com",
        "polish",
    },
    '(attributes.lang = "en" AND attributes.name = "net") OR attributes:empty': {
        "english net",
        "co",
    },
    "NOT (attributes:lang OR attributes:name)": {"odd", "nothing"},
    '((attributes.lang = "en"))': {"english com", "english net"},
    'attributes."iana.org/language_tag" = "pl-PL"': {"polish"},
    'hasPrefix(attributes."iana.org/language_tag", "pl")': {"polish"},
    'attributes:"みんな"': {"odd"},
    r'attributes:"\u307F\u3093\u306A"': {"odd"},
    r'attributes."quo\"ted" = "a\\b"': {"odd"},
}


@pytest.mark.parametrize(("text", "expected"), MATCHING.items(), ids=MATCHING)
async def test_matching(async_publisher, subscriber, topic, subscribe, text, expected):
    subscription = subscribe(filter=text)
    messages = [
        {"data": label.encode(), "attributes": attributes} for label, attributes in MESSAGES.items()
    ]
    await async_publisher.publish(topic=topic, messages=messages)
    received = pulled(subscriber, subscription, len(expected))
    assert {one.message.data.decode() for one in received} == expected


# Nothing matches but what is published last.
@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ('attributes.lang = "EN"', {"lang": "EN"}),
        ("attributes:Lang", {"Lang": "x"}),
        ('hasPrefix(attributes.name, "com.")', {"name": "com.example"}),
        ('attributes.data = "english com"', {"data": "english com"}),
    ],
    ids=["another case of the value", "another case of the key", "a longer prefix", "the data"],
)
async def test_not_matching(async_publisher, subscriber, topic, subscribe, text, attributes):
    subscription = subscribe(filter=text)
    messages = [
        {"data": label.encode(), "attributes": others} for label, others in MESSAGES.items()
    ]
    await async_publisher.publish(topic=topic, messages=messages)
    last = {"data": b"last", "attributes": attributes}
    await async_publisher.publish(topic=topic, messages=[last])
    assert [one.message.data for one in pulled(subscriber, subscription)] == [b"last"]


INVALID = {
    "no operator": "attributes.name",
    "no attributes": 'name = "com"',
    "the data": 'data = "x"',
    "value first": '"com" = attributes.name',
    "two keys compared": "attributes.name = attributes.lang",
    "value without quotes": "attributes.name = com",
    "value in single quotes": "attributes.name = 'com'",
    "unknown operator": 'attributes.name > "com"',
    "double equals": 'attributes.name == "com"',
    "unknown function": 'hasSuffix(attributes.name, "com")',
    "prefix of nothing": 'hasPrefix("co")',
    "lower-case and": "attributes:name and attributes:lang",
    "lower-case not": "not attributes:name",
    "AND and OR without parentheses": "attributes:a AND attributes:b OR attributes:c",
    "incomplete expression in parentheses": 'attributes.lang = ("en" OR "pl")',
    "open parenthesis": "(attributes:name",
    "open string": 'attributes.name = "com',
    "key that needs quotes": "attributes:iana.org/language_tag",
    "operator without an operand": "attributes:name AND",
    "escape outside of a string": r"attributes:\u307F",
    "nonsense": "!?",
}


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_invalid(subscribe, invalid, text):
    with invalid("filter"):
        subscribe(filter=text)


async def test_filter_is_of_one_subscription_only(publisher, subscriber, topic, subscribe):
    everything, blue = subscribe("all"), subscribe("blue", filter='attributes.colour = "blue"')
    publisher.publish(topic, b"r", colour="red").result(PATIENCE)
    publisher.publish(topic, b"b", colour="blue").result(PATIENCE)
    assert {one.message.data for one in pulled(subscriber, everything, 2)} == {b"r", b"b"}
    assert [one.message.data for one in pulled(subscriber, blue)] == [b"b"]


async def test_push_subscription_is_filtered(publisher, topic, subscribe, sink):
    subscribe(filter="attributes:wanted", push_config={"push_endpoint": sink.url})
    publisher.publish(topic, b"no", other="x").result(PATIENCE)
    publisher.publish(topic, b"yes", wanted="x").result(PATIENCE)
    [push] = await sink.received(1)
    assert push.data == b"yes"
