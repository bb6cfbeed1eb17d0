import base64
import contextlib
import copy
import json
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum

import pytest
from django.utils.safestring import SafeString
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgi_tasks.exceptions import InvalidMessage, TaskNotFound
from asgi_tasks.messages import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_VALUES,
    PushEnvelope,
    TaskMessage,
    is_signed,
    load_json,
    make_attributes,
)

KEY = "a key of 2026"
NOT_IN_UTC = ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")
MESSAGE = TaskMessage(
    task_id="0198a3c2-7f11-7000-8000-000000000001",
    task_name="send_welcome_email",
    args=[1, "ü"],
    kwargs={"dry_run": False, "limit": None},
    enqueued_at=datetime(2026, 1, 2, 3, 4, 5, 678000, UTC),
)
# The wire format: a change here breaks every message that is under way during a deploy.
DATA = (
    b'{"v":1,"task_id":"0198a3c2-7f11-7000-8000-000000000001","task_name":"send_welcome_email",'
    b'"args":[1,"\xc3\xbc"],"kwargs":{"dry_run":false,"limit":null},'
    b'"enqueued_at":"2026-01-02T03:04:05.678000+00:00"}'
)
ATTRIBUTES = {
    "task_id": "0198a3c2-7f11-7000-8000-000000000001",
    "task_name": "send_welcome_email",
    "signature": "79123cb42907281598e5500b2830542fe722840a0e3fff7c625fc352d6bd55df",
}
DOCUMENT = json.loads(DATA)
BODY = {
    "message": {
        "data": base64.b64encode(DATA).decode(),
        "attributes": ATTRIBUTES,
        "messageId": "2070443601311540",
        "message_id": "2070443601311540",
        "publishTime": "2026-01-02T03:04:06.123456789Z",
        "publish_time": "2026-01-02T03:04:06.123456789Z",
    },
    "subscription": "projects/gyrinx-1/subscriptions/prod-tasks-send-welcome-email-sub",
    "deliveryAttempt": 2,
}
MISSING = object()

# A busy machine is no failure.
patiently = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def changed(document, path, value):
    """A copy of the document with one field changed or left out; the path is dotted."""
    document = copy.deepcopy(document)
    *parents, last = path.split(".")
    node = document
    for name in parents:
        node = node[name]
    if value is MISSING:
        del node[last]
    else:
        node[last] = value
    return document


def nested(depth):
    """A list in a list, so many deep."""
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def shown(value):
    """A value in a test's name; some have no repr()."""
    try:
        return f"{type(value).__name__} {value!r:.20}"
    except (ValueError, RecursionError):
        return f"huge {type(value).__name__}"


class OneOfMany(IntEnum):
    ONE = 1


class TestEncode:
    def test_message_has_these_bytes(self):
        assert MESSAGE.encode() == DATA

    def test_message_travels_with_these_attributes(self):
        assert make_attributes(MESSAGE, DATA, KEY) == ATTRIBUTES

    def test_time_of_another_zone_is_written_in_utc(self):
        moment = datetime(2026, 1, 2, 5, 4, 5, 678000, timezone(timedelta(hours=2)))
        assert replace(MESSAGE, enqueued_at=moment).encode() == DATA

    @pytest.mark.parametrize(
        "value",
        [
            float("nan"),
            float("inf"),
            float("-inf"),
            "\ud800",
            {"\udfff": 1},
            {1: "a"},
            {None: "a"},
            {True: "a"},
            (1, 2),
            {1, 2},
            b"bytes",
            object(),
            datetime(2026, 1, 2, tzinfo=UTC),
            10**4300,
            -(10**4300),
            nested(MAX_DEPTH - 1),
            nested(100_000),
        ],
        ids=shown,
    )
    def test_argument_that_would_not_come_back_is_refused(self, value):
        with pytest.raises(InvalidMessage):
            replace(MESSAGE, args=[value]).encode()

    def test_argument_that_contains_itself_is_refused(self):
        loop = []
        loop.append(loop)
        with pytest.raises(InvalidMessage, match="Circular"):
            replace(MESSAGE, args=loop).encode()

    def test_refusal_says_what_is_wrong_with_a_key_and_nothing_of_the_arguments(self):
        with pytest.raises(InvalidMessage, match="keys are strings") as caught:
            replace(MESSAGE, args=[{1: "confidential"}]).encode()
        assert "confidential" not in str(caught.value)

    @pytest.mark.parametrize(
        "fields",
        [
            {"task_id": ""},
            {"task_id": "a b"},
            {"task_id": "x" * 65},
            {"task_name": "os:system"},
            {"task_name": "é"},
            {"args": (1,)},
            {"kwargs": []},
            {"enqueued_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))},
            {"enqueued_at": datetime(2026, 1, 2)},
        ],
        ids=repr,
    )
    def test_field_that_decode_would_refuse_is_refused(self, fields):
        with pytest.raises(InvalidMessage):
            replace(MESSAGE, **fields).encode()

    def test_too_many_values_are_refused(self):
        with pytest.raises(InvalidMessage, match="500,000 values"):
            replace(MESSAGE, args=[[0] * MAX_VALUES]).encode()

    @pytest.mark.parametrize(
        "value",
        [
            OneOfMany.ONE,
            OneOfMany.ONE.value,
            SafeString("text"),
            OrderedDict(a=1),
            [{"a": [True, 1, 1.5, None, {}]}],
            {SafeString("key"): 1},
        ],
        ids=repr,
    )
    def test_value_of_a_kind_that_json_takes_for_its_own_comes_back_as_an_equal_one(self, value):
        message = replace(MESSAGE, args=[value])
        assert TaskMessage.decode(message.encode()) == message

    @pytest.mark.parametrize(
        "value",
        [
            10**4300 - 1,
            -(10**4300) + 1,
            nested(MAX_DEPTH - 2),
            "\x00\x1f\u2028\U0001f600",
            5e-324,
            1.7976931348623157e308,
        ],
        ids=shown,
    )
    def test_argument_just_within_the_limits_comes_back(self, value):
        message = replace(MESSAGE, args=[value])
        assert TaskMessage.decode(message.encode()) == message


class TestRoundTrip:
    """What encode() accepts, decode() accepts, and gives back."""

    anything = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.integers(min_value=-(10**4400), max_value=10**4400)
        | st.floats()
        | st.text(st.characters(codec=None))
        | st.text(st.characters(categories=["Cs"]), min_size=1)
        | st.binary(max_size=3)
        | st.integers(MAX_DEPTH - 3, MAX_DEPTH + 1).map(nested),
        lambda children: (
            st.lists(children)
            | st.tuples(children)
            | st.dictionaries(st.text() | st.none() | st.booleans() | st.integers(), children)
        ),
        max_leaves=8,
    )

    @patiently
    @given(
        task_id=st.from_regex(r"[a-z0-9-]{0,3}", fullmatch=True),
        task_name=st.from_regex(r"[a-z_. ]{0,3}", fullmatch=True),
        args=st.lists(anything, max_size=3),
        kwargs=st.dictionaries(st.text(max_size=3), anything, max_size=3),
        enqueued_at=st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=14)))),
    )
    def test_message_is_refused_or_comes_back_equal(self, **fields):
        message = TaskMessage(**fields)
        try:
            data = message.encode()
        except InvalidMessage:
            return
        # repr() as well: True == 1 == 1.0 and -0.0 == 0.0
        decoded = TaskMessage.decode(data)
        assert decoded == message
        assert repr((decoded.args, decoded.kwargs)) == repr((message.args, message.kwargs))

    json_values = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda children: st.lists(children) | st.dictionaries(st.text(), children),
        max_leaves=10,
    )

    @patiently
    @given(args=st.lists(json_values, max_size=3))
    def test_ordinary_json_is_never_refused(self, args):
        message = replace(MESSAGE, args=args)
        assert TaskMessage.decode(message.encode()) == message


NOT_AN_OBJECT = [b"", b"{", b"\x00", b"nonsense", b"[]", b'"x"', b"null", b"1", b"true", b"1.5"]
NOT_AN_OBJECT += [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000]
# What spoils a whole document that is right otherwise.
SPOILERS = {
    "byte order mark": lambda document: b"\xef\xbb\xbf" + document,
    "UTF-16": lambda document: document.decode().encode("utf-16"),
    "Latin-1": lambda document: document[:-1] + b',"x":"\xfc"}',
    "two documents": lambda document: document + document,
    "quotes of Python": lambda document: document.replace(b'"', b"'"),
    **{
        repr(field[:12]): lambda document, field=field: document[:-1] + b"," + field + b"}"
        for field in (
            b"",  # a comma too many
            b'"x":NaN',
            b'"x":Infinity',
            b'"x":-Infinity',
            b'"x":1e400',
            b'"x":1,"x":1',
            b'"x":{"y":1,"y":2}',
            b'"x":"\\ud800"',
            b'"\\udc00":1',
            b'"x":' + b"9" * 4301,
            b'"x":' + b"[" * 64 + b"]" * 64,
            b'"x":' + b"[" * 100_000 + b"]" * 100_000,
        )
    },
}


class TestDecode:
    def test_message_comes_back(self):
        assert TaskMessage.decode(DATA) == MESSAGE

    def test_unknown_field_is_ignored(self):
        data = json.dumps(DOCUMENT | {"queue": "default"}).encode()
        assert TaskMessage.decode(data) == MESSAGE

    @pytest.mark.parametrize("data", NOT_AN_OBJECT, ids=lambda data: repr(data[:12]))
    def test_data_that_is_no_json_object_is_refused(self, data):
        with pytest.raises(InvalidMessage):
            TaskMessage.decode(data)

    @pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
    def test_data_that_is_not_strict_json_is_refused(self, spoil):
        with pytest.raises(InvalidMessage):
            TaskMessage.decode(spoil(DATA))

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            *[("v", value) for value in (MISSING, None, 0, -1, 1.0, "1", True, [1], {})],
            *[("task_id", value) for value in (MISSING, None, "", 1, ["a"], "a\n", "x" * 65)],
            *[("task_name", value) for value in (MISSING, None, "", 1, [], {}, "x" * 201)],
            *[("task_name", value) for value in ("a b", "a/b", "é", "a\r\nb", ".a", "-a", "a\x00")],
            *[("args", value) for value in (MISSING, None, {}, "ab", 1)],
            *[("kwargs", value) for value in (MISSING, None, [], "ab", 1, [["a", 1]])],
            *[("enqueued_at", value) for value in (MISSING, None, "", 0, 1.5, [], "yesterday")],
            ("enqueued_at", "2026-01-02T03:04:05"),
            ("enqueued_at", "2026-13-02T03:04:05Z"),
            *[("enqueued_at", moment) for moment in NOT_IN_UTC],
        ],
        ids=lambda value: repr(value)[:20] if value is not MISSING else "missing",
    )
    def test_malformed_field_is_refused(self, path, value):
        with pytest.raises(InvalidMessage):
            TaskMessage.decode(json.dumps(changed(DOCUMENT, path, value)).encode())

    @pytest.mark.parametrize("version", [2, 3, 10**30])
    def test_newer_version_is_left_to_a_newer_revision(self, version):
        with pytest.raises(TaskNotFound):
            TaskMessage.decode(json.dumps({"v": version, "wholly": "different"}).encode())

    @patiently
    @given(data=st.binary() | st.text().map(str.encode))
    def test_arbitrary_bytes_raise_nothing_but_invalid_message(self, data):
        with pytest.raises(InvalidMessage):
            TaskMessage.decode(data)

    @patiently
    @given(
        changes=st.dictionaries(
            st.sampled_from(sorted(DOCUMENT)), TestRoundTrip.json_values, min_size=1
        )
    )
    def test_arbitrary_fields_raise_nothing_but_the_two_refusals(self, changes):
        with contextlib.suppress(InvalidMessage, TaskNotFound):
            TaskMessage.decode(json.dumps(DOCUMENT | changes).encode())


class TestEnvelope:
    def test_envelope_of_pubsub_is_read(self):
        assert PushEnvelope.decode(json.dumps(BODY).encode()) == PushEnvelope(
            data=DATA,
            attributes=ATTRIBUTES,
            message_id="2070443601311540",
            subscription="projects/gyrinx-1/subscriptions/prod-tasks-send-welcome-email-sub",
            delivery_attempt=2,
        )

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("message.attributes", MISSING),
            ("message.message_id", MISSING),
            ("message.publishTime", MISSING),
            ("message.publish_time", "2026-01-02T03:04:06Z"),
            ("message.orderingKey", "a"),
            ("deliveryAttempt", MISSING),
            ("unknown", {"to": "us"}),
            ("subscription", "projects/example.com:p-1/subscriptions/a.b_c~d+e%f"),
        ],
        ids=str,
    )
    def test_what_pubsub_may_vary_is_accepted(self, path, value):
        body = json.dumps(changed(BODY, path, value)).encode()
        assert PushEnvelope.decode(body).data == DATA

    @pytest.mark.parametrize("body", NOT_AN_OBJECT, ids=lambda body: repr(body[:12]))
    def test_body_that_is_no_json_object_is_refused(self, body):
        with pytest.raises(InvalidMessage):
            PushEnvelope.decode(body)

    @pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
    def test_body_that_is_not_strict_json_is_refused(self, spoil):
        with pytest.raises(InvalidMessage):
            PushEnvelope.decode(spoil(json.dumps(BODY).encode()))

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            *[("message", value) for value in (MISSING, None, [], "x", 1)],
            *[("message.data", value) for value in (MISSING, None, 1, [], {}, True)],
            *[("message.data", value) for value in ("e30", "e30==", "e3 0=", "e30=\n", "é", "=")],
            ("message.data", "_-8="),  # the alphabet of URLs
            *[("message.attributes", value) for value in ([], "x", 1, [["a", "b"]])],
            *[("message.attributes", {"a": value}) for value in (None, 1, [], {}, True)],
            ("message.attributes", {str(n): "" for n in range(MAX_ATTRIBUTES + 1)}),
            *[("message.messageId", value) for value in (MISSING, None, "", 1, [], "a b", "1\n")],
            ("message.messageId", "1" * 65),
            *[("message.message_id", value) for value in ("2", None, 2070443601311540)],
            *[("subscription", value) for value in (MISSING, None, "", 1, [], "a-sub")],
            *[("subscription", f"projects/p/{rest}") for rest in ("topics/t", "subscriptions/")],
            ("subscription", "projects/p/subscriptions/a/b"),
            ("subscription", "projects/p/subscriptions/a\r\nb"),
            ("subscription", "x/projects/p/subscriptions/a"),
        ],
        ids=lambda value: repr(value)[:20] if value is not MISSING else "missing",
    )
    def test_malformed_field_is_refused(self, path, value):
        with pytest.raises(InvalidMessage):
            PushEnvelope.decode(json.dumps(changed(BODY, path, value)).encode())

    @pytest.mark.parametrize("attempt", [None, 0, -1, 10**9, 1.0, "3", "x", True, [], {}], ids=repr)
    def test_delivery_attempt_out_of_reason_is_unknown(self, attempt):
        body = json.dumps(changed(BODY, "deliveryAttempt", attempt)).encode()
        assert PushEnvelope.decode(body).delivery_attempt is None

    @pytest.mark.parametrize("attributes", [MISSING, None, {}], ids=["missing", "null", "empty"])
    def test_message_without_attributes_has_none(self, attributes):
        body = json.dumps(changed(BODY, "message.attributes", attributes)).encode()
        assert PushEnvelope.decode(body).attributes == {}

    @patiently
    @given(body=st.binary() | st.text().map(str.encode))
    def test_arbitrary_bytes_raise_nothing_but_invalid_message(self, body):
        with pytest.raises(InvalidMessage):
            PushEnvelope.decode(body)

    @patiently
    @given(
        path=st.sampled_from([*BODY, *(f"message.{name}" for name in BODY["message"])]),
        value=TestRoundTrip.json_values,
    )
    def test_arbitrary_field_raises_nothing_but_invalid_message(self, path, value):
        with contextlib.suppress(InvalidMessage):
            PushEnvelope.decode(json.dumps(changed(BODY, path, value)).encode())


class TestSignature:
    def envelope(self, message=MESSAGE, key=KEY, **changes):
        data = message.encode()
        fields = {"data": data, "attributes": make_attributes(message, data, key)}
        return PushEnvelope(message_id="1", subscription=BODY["subscription"], **fields | changes)

    def test_message_is_signed_as_it_was_sent(self):
        assert is_signed(MESSAGE, self.envelope(), [KEY])

    def test_attribute_of_another_is_no_matter(self):
        envelope = self.envelope()
        envelope.attributes["googclient_traceparent"] = "00-1-2-01"
        assert is_signed(MESSAGE, envelope, [KEY])

    @pytest.mark.parametrize(
        "change",
        [
            {"task_id": "another"},
            {"task_name": "delete_account"},
            {"args": []},
            {"kwargs": {"dry_run": True, "limit": None}},
            {"enqueued_at": MESSAGE.enqueued_at + timedelta(microseconds=1)},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_changed_message_is_not_signed_by_the_old_signature(self, change):
        message = replace(MESSAGE, **change)
        forged = make_attributes(message, message.encode(), "a guess")
        attributes = forged | {"signature": ATTRIBUTES["signature"]}
        envelope = self.envelope(message, attributes=attributes)
        assert not is_signed(message, envelope, [KEY])

    @pytest.mark.parametrize("name", ["task_id", "task_name", "signature"])
    def test_missing_attribute_is_not_signed(self, name):
        envelope = self.envelope()
        del envelope.attributes[name]
        assert not is_signed(MESSAGE, envelope, [KEY])

    @pytest.mark.parametrize("name", ["task_id", "task_name", "signature"])
    @pytest.mark.parametrize("value", ["", "x", "é", "null"])
    def test_changed_attribute_is_not_signed(self, name, value):
        envelope = self.envelope()
        envelope.attributes[name] = value
        assert not is_signed(MESSAGE, envelope, [KEY])

    @pytest.mark.parametrize("position", range(0, len(DATA) * 8, 7))
    def test_flipped_bit_of_the_data_is_not_signed(self, position):
        data = bytearray(DATA)
        data[position // 8] ^= 1 << position % 8
        assert not is_signed(MESSAGE, self.envelope(data=bytes(data)), [KEY])

    @pytest.mark.parametrize("position", range(64))
    def test_changed_digit_of_the_signature_is_not_signed(self, position):
        envelope = self.envelope()
        digits = list(envelope.attributes["signature"])
        digits[position] = "0" if digits[position] != "0" else "1"
        envelope.attributes["signature"] = "".join(digits)
        assert not is_signed(MESSAGE, envelope, [KEY])

    def test_boundary_between_id_and_name_cannot_be_moved(self):
        one = replace(MESSAGE, task_id="ab", task_name="c")
        other = replace(MESSAGE, task_id="a", task_name="bc")
        signatures = [make_attributes(each, DATA, KEY)["signature"] for each in (one, other)]
        assert signatures[0] != signatures[1]

    @pytest.mark.parametrize(
        ("keys", "signed"),
        [
            (["new", KEY], True),
            ([KEY, "new"], True),
            (["new", "newer"], False),
            ([], False),
        ],
        ids=["by a fallback", "by the first key", "by a removed key", "without keys"],
    )
    def test_rotated_key(self, keys, signed):
        assert is_signed(MESSAGE, self.envelope(), keys) is signed


class TestLoadJson:
    @pytest.mark.parametrize(
        "text",
        [
            "[]",
            "null",
            " [1, 2.5e3, -0.0] ",
            '{"a": {"b": [true, false, null]}}',
            '"\\ud83d\\ude00"',  # a pair
            '"\\\\ud800"',  # a backslash, then letters
            "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH,
            "9" * 4300,
            "1e308",
        ],
        ids=lambda text: text[:20],
    )
    def test_strict_json_is_read(self, text):
        assert load_json(text.encode()) == json.loads(text)

    @pytest.mark.parametrize(
        "text",
        [
            "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
            '{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1),
            "9" * 4301,
            "1e309",
            "-1e309",
            '"\\uD83D"',
            '"\\udE00\\ud83d"',
            '{"\\udfff": 1}',
        ],
        ids=lambda text: text[:20],
    )
    def test_json_that_is_not_strict_is_refused(self, text):
        with pytest.raises(InvalidMessage):
            load_json(text.encode())

    values = pytest.mark.parametrize(
        "unit",
        ["0,", "[],", "{},", '"",', '{"":0},', '"é",', '"\\",[{",', '" \\\\",'],
    )

    @values
    def test_as_many_values_as_allowed_are_read(self, unit):
        assert load_json(with_values(unit, MAX_VALUES))

    @values
    def test_one_value_too_many_is_refused(self, unit):
        with pytest.raises(InvalidMessage, match="500,000 values"):
            load_json(with_values(unit, MAX_VALUES + 1))

    @pytest.mark.parametrize(
        "string",
        ["," * MAX_VALUES, '\\"[' * MAX_VALUES, "{" * MAX_VALUES + '\\"' + "," * MAX_VALUES],
        ids=["commas", "escaped quotes", "brackets"],
    )
    def test_text_counts_as_one_value_whatever_is_in_it(self, string):
        assert load_json(f'["{string}"]'.encode()) == [json.loads(f'"{string}"')]

    @pytest.mark.parametrize(
        "text",
        ['"' + "," * 600_000, "," * 600_000, '["' + "\\" * 600_001, "[" * 600_000, " " * 600_000],
        ids=["cut string", "commas", "backslashes", "brackets", "blanks"],
    )
    def test_long_nonsense_is_refused(self, text):
        with pytest.raises(InvalidMessage):
            load_json(text.encode())


def with_values(unit, count):
    """A list of such units, with this many commas and opening brackets outside of strings."""
    each = 2 if unit[0] in "[{" else 1
    units, rest = divmod(count - 1, each)
    return f"[{unit * units}{'0,' * rest}0]".encode()
