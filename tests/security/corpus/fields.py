"""Each field of the envelope and of the message, missing or with a wrong value."""

from asgi_tasks.messages import MAX_ATTRIBUTES

from .cases import DOCUMENT, MEGABYTE, MISSING, Case, body, changed, dump, push

# One of each type of JSON, and none.
VALUES = {
    "missing": MISSING,
    "null": None,
    "true": True,
    "0": 0,
    "1.5": 1.5,
    "empty text": "",
    "text": "text",
    "list": [],
    "object": {},
}
UNSIGNED = {"missing": 403, "empty text": 403, "text": 403}
# The answer to any other value in a field, and the exceptions.
ENVELOPE = {
    "message": (400, {}),
    "message.data": (400, {}),
    "message.attributes": (400, {"missing": 403, "null": 403, "object": 403}),
    "message.attributes.signature": (400, UNSIGNED),
    "message.attributes.task_id": (400, UNSIGNED),
    "message.attributes.task_name": (400, UNSIGNED),
    "message.messageId": (400, {}),
    "message.message_id": (400, {"missing": 204}),
    "message.publishTime": (204, {}),
    "message.orderingKey": (204, {}),
    "subscription": (400, {}),
    "deliveryAttempt": (204, {}),
    "unknown": (204, {}),
}
MESSAGE = {
    "v": (400, {}),
    "task_id": (400, {"text": 204}),
    "task_name": (400, {"text": 404}),
    "args": (400, {"list": 204}),
    "kwargs": (400, {"object": 204}),
    "enqueued_at": (400, {}),
    "unknown": (204, {}),
}
# As (path, value, status): in the envelope.
ENVELOPE_VALUES = [
    ("message.messageId", "1\n", 400),
    ("message.messageId", "1 2", 400),
    ("message.messageId", "1\r\nWARNING forged", 400),
    ("message.messageId", "\x1b[31m1", 400),
    ("message.messageId", "1" * 65, 400),
    ("message.messageId", "9876543210", 400),  # the other spelling says 1234567890
    ("message.message_id", "9876543210", 400),
    ("message.message_id", 1234567890, 400),
    ("message.attributes", {str(n): "" for n in range(MAX_ATTRIBUTES + 1)}, 400),
    ("message.attributes", {str(n): "" for n in range(MAX_ATTRIBUTES)}, 403),
    ("message.attributes", [["signature", "x"]], 400),
    ("message.attributes.more", "first\r\nWARNING forged\x1b[31m\u2028", 204),
    ("message.attributes.more", "x" * MEGABYTE, 204),
    ("message.attributes.first\r\nsecond", "x", 204),
    ("message.attributes.googclient_traceparent", "00-1-2-01", 204),
    ("message.attributes.more", {"a": "b"}, 400),
    ("message.attributes.more", ["a"], 400),
    ("message.attributes.signature", "0" * 64, 403),
    ("message.attributes.signature", "é", 403),
    ("message.attributes.signature", "\u0660" * 64, 403),
    ("message.attributes.signature", "x" * MEGABYTE, 403),
    ("message.attributes.task_name", "note_sync", 403),
    ("message.attributes.task_id", "another", 403),
    ("subscription", "projects/tests/subscriptions/test-site-note-sync-sub", 403),
    ("subscription", "projects/others/subscriptions/test-site-note-sub", 403),
    ("subscription", "projects/tests/subscriptions/prod-site-note-sub", 403),
    ("subscription", "projects/tests/subscriptions/Test-Site-Note-Sub", 403),
    ("subscription", "projects/tests/subscriptions/test-site-dead-letter-sub", 403),
    ("subscription", "projects/tests/topics/test-site-note", 400),
    ("subscription", "projects/tests/subscriptions/test-site-note-sub\n", 400),
    ("subscription", "projects/tests/subscriptions/test-site-note-sub/", 400),
    ("subscription", " projects/tests/subscriptions/test-site-note-sub", 400),
    ("subscription", "projects/tests/subscriptions/a\r\nWARNING forged", 400),
    ("subscription", "projects/tests/subscriptions/\x1b[31m", 400),
    ("subscription", "projects/tests/subscriptions/é", 400),
    ("subscription", "projects/tests/subscriptions/../test-site-note-sub", 400),
    ("subscription", "projects/tests/subscriptions/" + "x" * 256, 400),
    ("subscription", "x" * MEGABYTE, 400),
    *[("deliveryAttempt", value, 204) for value in (-1, 10**9, 10**4000, "x", "3", 1e308)],
    ("message.publishTime", "first\r\nWARNING forged", 204),
    ("message.orderingKey", "\x1b[31m", 204),
]
# As (field, value, status): in the message, signed as it stands.
MESSAGE_VALUES = [
    *[("v", value, 400) for value in (-1, True, False, "1", 1.0, [1], 0.5, -(10**4000))],
    *[("v", value, 404) for value in (2, 3, 10**18, 10**4000)],
    *[("task_id", value, 400) for value in ("a b", "a\n", "é", "a/b", "../a", "x" * 65, "\x00")],
    *[("task_id", value, 400) for value in ("a\r\nWARNING forged", "\x1b[31m", "a;b", 10**40)],
    *[("task_id", value, 204) for value in ("a", "x" * 64, "__class__", "-")],
    ("args", {"0": "a"}, 400),
    ("args", "good", 400),
    ("args", ["good"] * 1000, 204),
    ("kwargs", [["n", 1]], 400),
    ("kwargs", "n=1", 400),
    ("kwargs", {"": 1}, 204),
    ("kwargs", {"first\r\nsecond": 1, "\x1b": "\u2028"}, 204),
    *[("enqueued_at", value, 400) for value in ("yesterday", "2026-01-01", "12:00:00", "now")],
    ("enqueued_at", "2026-01-01T00:00:00", 400),  # where?
    ("enqueued_at", "2026-13-01T00:00:00Z", 400),
    ("enqueued_at", "2026-02-30T00:00:00Z", 400),
    ("enqueued_at", "2026-01-01T25:00:00Z", 400),
    ("enqueued_at", "2026-01-01T00:00:00+99:99", 400),
    ("enqueued_at", "99999-01-01T00:00:00Z", 400),
    ("enqueued_at", "0000-01-01T00:00:00Z", 400),
    ("enqueued_at", "\u0662026-01-01T00:00:00Z", 400),
    ("enqueued_at", "2026-01-01T00:00:00Z" * 1000, 400),
    ("enqueued_at", 1767225600, 400),
    ("enqueued_at", {"$date": 0}, 400),
    ("enqueued_at", "2026-01-01T00:00:00Z", 204),
    ("enqueued_at", "2026-01-01T14:00:00.123456+14:00", 204),
    ("enqueued_at", "0001-01-01T00:00:00+14:00", 400),
    ("enqueued_at", "9999-12-31T23:59:59.999999-14:00", 400),
]


def fields():
    for path, (status, others) in ENVELOPE.items():
        for name, value in VALUES.items():
            answer = others.get(name, status)
            yield Case(name=f"{path}: {name}", status=answer, body=changed(path, value))
    for field, (status, others) in MESSAGE.items():
        for name, value in VALUES.items():
            yield message(f"{field} in data: {name}", field, value, others.get(name, status))
    for path, value, status in ENVELOPE_VALUES:
        yield Case(name=f"{path}: {shown(value)}", status=status, body=changed(path, value))
    for field, value, status in MESSAGE_VALUES:
        yield message(f"{field} in data: {shown(value)}", field, value, status)


def message(name, field, value, status):
    ran = None
    if status == 204:
        document = DOCUMENT | {field: value}
        ran = (("note", document["args"], document["kwargs"]),)
    return Case(name=name, status=status, ran=ran, body=body(**{field: value}))


def shown(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:30]}…{text[-20:]}, {len(text):,} characters"


def envelopes():
    """Envelopes of another make."""
    flat = push()["message"] | {"subscription": push()["subscription"]}
    yield Case(name="unwrapped message", status=400, body=dump(DOCUMENT))
    yield Case(name="envelope without its message", status=400, body=dump(flat))
    yield Case(name="list of envelopes", status=400, body=dump([push()]))
    many = push() | {"message": None, "messages": [push()["message"]]}
    yield Case(name="several messages", status=400, body=dump(many))
    pull = {"receivedMessages": [{"ackId": "a", "message": push()["message"]}]}
    yield Case(name="answer to a pull", status=400, body=dump(pull))
    event = {"specversion": "1.0", "type": "x", "source": "y", "id": "1", "data": push()}
    yield Case(name="cloud event", status=400, body=dump(event))
    snake = push() | {"delivery_attempt": 3}
    yield Case(name="attempt in snake case", status=204, body=dump(snake))
