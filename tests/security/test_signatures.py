"""Who may not sign cannot have a task run: pushes with a good token and a changed message."""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import replace

import pytest
from django.tasks import task

from asgi_tasks import TaskRoute
from asgi_tasks.messages import make_attributes
from tests.adapters import Client, endpoint
from tests.pushes import KEY, make_body, make_message

from .forgeries import AUDIENCE, SIGNER

REFUSED = {400, 403, 404}

runs = []  # of all tasks: (name, arguments)


@task
async def pay(amount):
    runs.append(("pay", amount))


@task
async def refund(amount):
    runs.append(("refund", amount))


@task
async def open_to_all(amount):
    runs.append(("open_to_all", amount))


task_routes = [
    TaskRoute(pay),
    TaskRoute(refund, aliases=("repay",)),
    TaskRoute(open_to_all, signed=False),
]


@pytest.fixture(autouse=True)
def site(configure):
    configure(routes=__name__)
    runs.clear()


@pytest.fixture
def fast_client():
    """For tests with thousands of pushes: what they are about comes after the adapters."""
    return Client(*endpoint(), SIGNER.token(AUDIENCE))


def pushed(data, attributes, subscription="pay"):
    """The body of a push of this data with these attributes."""
    return make_body(
        make_message(subscription, 0),
        data=base64.b64encode(data).decode(),
        attributes=attributes,
    )


def signed(name, amount=1, key=KEY):
    """The data and the attributes of a signed message."""
    message = make_message(name, amount)
    data = message.encode()
    return data, make_attributes(message, data, key)


def flipped(value, bit):
    """The text or the bytes with one bit changed."""
    one = 1 << bit % 8
    if isinstance(value, bytes):
        return value[: bit // 8] + bytes([value[bit // 8] ^ one]) + value[bit // 8 + 1 :]
    return value[: bit // 8] + chr(ord(value[bit // 8]) ^ one) + value[bit // 8 + 1 :]


def flips(value):
    return (flipped(value, bit) for bit in range(len(value) * 8))


async def answers(client, bodies):
    return [await client.status(body) for body in bodies]


async def test_message_as_it_was_signed_runs(client):
    assert await client.status(pushed(*signed("pay", 7))) == 204
    assert runs == [("pay", 7)]


# Each bit


@pytest.mark.parametrize("name", ["task_id", "task_name", "signature"])
async def test_every_flipped_bit_of_an_attribute_is_refused(fast_client, name):
    data, attributes = signed("pay")
    bodies = [pushed(data, attributes | {name: other}) for other in flips(attributes[name])]
    assert set(await answers(fast_client, bodies)) == {403}
    assert len(bodies) == 8 * len(attributes[name])
    assert runs == []


async def test_every_flipped_bit_of_the_data_is_refused(fast_client):
    data, attributes = signed("pay")
    bodies = [pushed(other, attributes) for other in flips(data)]
    assert set(await answers(fast_client, bodies)) <= REFUSED
    assert len(bodies) > 1_000
    assert runs == []


@pytest.mark.parametrize("field", ["task_id", "task_name"])
async def test_every_flipped_bit_of_a_field_in_data_and_attribute_alike_is_refused(
    fast_client, field
):
    data, attributes = signed("pay")
    document = json.loads(data)
    bodies = [
        pushed(json.dumps(document | {field: other}).encode(), attributes | {field: other})
        for other in flips(attributes[field])
    ]
    assert set(await answers(fast_client, bodies)) <= REFUSED
    assert runs == []


async def test_every_signature_that_is_cut_off_is_refused(fast_client):
    data, attributes = signed("pay")
    bodies = [
        pushed(data, attributes | {"signature": attributes["signature"][:length]})
        for length in range(64)
    ]
    assert set(await answers(fast_client, bodies)) == {403}
    assert runs == []


# Whole fields


SIGNATURES = {
    "missing": lambda right: None,
    "empty": lambda right: "",
    "in upper case": str.upper,
    "twice": lambda right: right + right,
    "with a space": lambda right: f"{right} ",
    "with a line break": lambda right: f"{right}\n",
    "of zeros": lambda right: "0" * 64,
    "in base64": lambda right: base64.b64encode(bytes.fromhex(right)).decode(),
    "the word null": lambda right: "null",
    "the word None": lambda right: "None",
    "with another algorithm's length": lambda right: right[:40],
    "of full-width digits": lambda right: "".join(
        chr(ord(one) + 0xFEE0) if one.isdigit() else one for one in right
    ),
}


@pytest.mark.parametrize("make", SIGNATURES.values(), ids=SIGNATURES)
async def test_signature_is_exactly_this_one(client, make):
    data, attributes = signed("pay")
    attributes["signature"] = make(attributes["signature"])
    if attributes["signature"] is None:
        del attributes["signature"]
    assert await client.status(pushed(data, attributes)) == 403
    assert runs == []


@pytest.mark.parametrize("value", [["x"], 1, True, {}, None], ids=repr)
async def test_signature_that_is_no_string_is_malformed(client, value):
    data, attributes = signed("pay")
    assert await client.status(pushed(data, attributes | {"signature": value})) == 400
    assert runs == []


async def test_signature_of_another_message_is_refused(client):
    (data, attributes), (_, others) = signed("pay", 1), signed("pay", 2)
    forged = attributes | {"signature": others["signature"]}
    assert await client.status(pushed(data, forged)) == 403
    assert await client.status(pushed(data, others)) == 403
    assert runs == []


async def test_signature_of_another_task_is_refused(client):
    message = make_message("pay", 1)
    attributes = make_attributes(message, message.encode(), KEY)
    forged = replace(message, task_name="refund")
    for changed in (attributes, attributes | {"task_name": "refund"}):
        body = pushed(forged.encode(), changed, subscription="refund")
        assert await client.status(body) == 403
    assert runs == []


async def test_signature_of_a_former_name_does_not_serve_the_new_one(client):
    former = make_message("repay", 1)
    message = replace(former, task_name="refund")
    attributes = make_attributes(former, former.encode(), KEY)
    body = pushed(message.encode(), attributes | {"task_name": "refund"}, subscription="refund")
    assert await client.status(body) == 403
    assert runs == []


@pytest.mark.parametrize("shift", [-1, 1])
async def test_part_of_one_field_does_not_pass_as_part_of_the_next(client, shift):
    """Signed without the lengths, these two would be signed alike."""
    one = make_message("pay", 1)
    both = one.task_id + one.task_name
    cut = len(one.task_id) + shift
    other = {"task_id": both[:cut], "task_name": both[cut:]}
    data, attributes = one.encode(), make_attributes(one, one.encode(), KEY)
    assert await client.status(pushed(data, attributes | other)) == 403
    forged = replace(one, **other)
    assert (
        make_attributes(forged, data, KEY)["signature"]
        != make_attributes(one, data, KEY)["signature"]
    )
    assert runs == []


async def test_whitespace_around_the_signed_data_is_refused(client):
    data, attributes = signed("pay")
    for other in (data + b" ", b" " + data, data.replace(b",", b", ")):
        assert await client.status(pushed(other, attributes)) == 403
    assert runs == []


# Without the key


@pytest.mark.parametrize(
    "key", ["", " ", "another", KEY.upper(), KEY[:-1], f"{KEY}\n", "tests-only-fallback"], ids=repr
)
async def test_publisher_without_the_key_cannot_run_a_task(client, key):
    assert await client.status(pushed(*signed("pay", key=key))) == 403
    assert runs == []


@pytest.mark.parametrize(
    "sign",
    [
        lambda data, name: hashlib.sha256(data).hexdigest(),
        lambda data, name: hmac.new(b"", data, hashlib.sha256).hexdigest(),
        lambda data, name: hmac.new(KEY.encode(), data, hashlib.sha256).hexdigest(),
        lambda data, name: hmac.new(KEY.encode(), name.encode() + data, hashlib.sha256).hexdigest(),
    ],
    ids=["of nothing secret", "of an empty key", "of the data alone", "without lengths and salt"],
)
async def test_other_digest_is_no_signature(client, sign):
    data, attributes = signed("pay")
    attributes["signature"] = sign(data, "pay")
    assert await client.status(pushed(data, attributes)) == 403
    assert runs == []


async def test_stolen_token_cannot_carry_another_body(client):
    """Whoever holds a token of ours may push: what was signed, and nothing else."""
    data, attributes = signed("pay", 1)
    assert await client.status(pushed(data, attributes)) == 204
    richer = data.replace(b'"args":[1]', b'"args":[1000]')
    assert richer != data
    bodies = [
        pushed(richer, attributes),
        pushed(*signed("pay", 1000, key="the thief's")),
        pushed(richer, {}),
        pushed(richer, None),
    ]
    assert await answers(client, bodies) == [403] * 4
    assert runs == [("pay", 1)]


async def test_refusal_tells_neither_signature_nor_arguments(client, lines):
    data, attributes = signed("pay", "a-secret-argument", key="another")
    await client.status(pushed(data, attributes))
    [line] = lines()
    assert line.startswith("Push refused with 403: the signature of a pay message is wrong")
    for secret in (attributes["signature"], "a-secret-argument", KEY):
        assert secret not in line


async def test_signature_is_compared_in_constant_time(client, monkeypatch):
    compared = []
    compare = secrets.compare_digest

    def note_and_compare(one, other):
        compared.append(one + other)
        return compare(one, other)

    monkeypatch.setattr(secrets, "compare_digest", note_and_compare)
    data, attributes = signed("pay")
    await client.status(pushed(data, attributes))
    assert any(attributes["signature"].encode() in both for both in compared)


# Keys that change


ROTATION = [
    (["old"], {"old": 204, "new": 403}),
    (["new", "old"], {"old": 204, "new": 204}),
    (["new"], {"old": 403, "new": 204}),
]


@pytest.mark.parametrize(("keys", "expected"), ROTATION, ids=["before", "with fallback", "after"])
async def test_message_runs_while_its_key_is_one_of_ours(client, configure, keys, expected):
    configure(routes=__name__, signing_key=keys)
    found = {key: await client.status(pushed(*signed("pay", key=key))) for key in ("old", "new")}
    assert found == expected
    assert len(runs) == list(expected.values()).count(204)


async def test_removed_fallback_of_the_secret_key_verifies_no_more(client, settings):
    bodies = [pushed(*signed("pay", key=key)) for key in ("old", "new")]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]
    assert await answers(client, bodies) == [204, 204]
    settings.SECRET_KEY_FALLBACKS = []
    assert await answers(client, bodies) == [403, 204]


async def test_secret_key_verifies_nothing_once_there_is_a_signing_key(client, configure):
    configure(routes=__name__, signing_key="own")
    assert await client.status(pushed(*signed("pay"))) == 403
    assert await client.status(pushed(*signed("pay", key="own"))) == 204


# A route that is open


async def test_open_route_takes_messages_of_others(client):
    data, _ = signed("open_to_all", 5)
    assert await client.status(pushed(data, {}, "open_to_all")) == 204
    assert runs == [("open_to_all", 5)]


@pytest.mark.parametrize("name", ["pay", "refund", "repay"])
@pytest.mark.parametrize("subscription", ["open_to_all", "pay", "refund", "repay"])
async def test_open_route_opens_no_other(client, name, subscription):
    data, _ = signed(name)
    for attributes in ({}, {"task_name": "open_to_all"}, {"signature": ""}):
        assert await client.status(pushed(data, attributes, subscription)) == 403
    assert runs == []


async def test_open_route_still_asks_for_the_token_and_the_subscription(client):
    data, _ = signed("open_to_all")
    assert await client.status(pushed(data, {}, "pay")) == 403
    client.token = SIGNER.token(AUDIENCE, email="evil@evil.iam.gserviceaccount.com")
    assert await client.status(pushed(data, {}, "open_to_all")) == 403
    client.token = "a.b.c"
    assert await client.status(pushed(data, {}, "open_to_all")) == 401
    assert runs == []
