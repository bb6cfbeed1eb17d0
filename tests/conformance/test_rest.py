"""What only a bare REST call can say: malformed requests and the form of errors."""

import base64

import pytest

MALFORMED = {
    "no JSON": b"{",
    "not an object": b"[]",
    "no UTF-8": b"\xff",
    "an unknown field": b'{"colour": 1}',
    "a field of another type": b'{"labels": "x"}',
    "a malformed duration": b'{"messageRetentionDuration": "a day"}',
}


async def refusal(request):
    async with request as answer:
        error = (await answer.json())["error"]
    assert error["code"] == answer.status
    assert error["message"]
    return answer.status, error["status"]


# docs: https://google.aip.dev/193
async def test_error_has_code_status_and_message(rest, names):
    request = rest.get(f"/v1/{names.topic('unknown')}")
    assert await refusal(request) == (404, "NOT_FOUND")


async def test_second_creation_is_a_conflict(rest, topic):
    assert await refusal(rest.put(f"/v1/{topic}", json={})) == (409, "ALREADY_EXISTS")


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_body(rest, names, body):
    headers = {"Content-Type": "application/json"}
    request = rest.put(f"/v1/{names.topic()}", data=body, headers=headers)
    assert await refusal(request) == (400, "INVALID_ARGUMENT")


async def test_malformed_page_size(rest, names):
    request = rest.get(f"/v1/{names.project}/topics", params={"pageSize": "x"})
    assert await refusal(request) == (400, "INVALID_ARGUMENT")


async def test_malformed_name(rest, names):
    request = rest.put(f"/v1/{names.project}/topics/1", json={})
    assert await refusal(request) == (400, "INVALID_ARGUMENT")


async def test_data_that_is_not_base64(rest, topic):
    request = rest.post(f"/v1/{topic}:publish", json={"messages": [{"data": "!"}]})
    assert await refusal(request) == (400, "INVALID_ARGUMENT")


# docs: https://protobuf.dev/programming-guides/json "Either standard or URL-safe base64 encoding"
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
async def test_data_in_either_base64(rest, topic, subscription, encode):
    data = b"\xfb\xff\xfe"
    message = {"data": encode(data).decode()}
    async with rest.post(f"/v1/{topic}:publish", json={"messages": [message]}) as answer:
        assert answer.status == 200
    received = []
    while not received:
        async with rest.post(f"/v1/{subscription}:pull", json={"maxMessages": 1}) as answer:
            received = (await answer.json()).get("receivedMessages", [])
    assert base64.b64decode(received[0]["message"]["data"]) == data


async def test_publish_takes_snake_case(rest, topic):
    message = {"data": "eA==", "ordering_key": "k"}
    async with rest.post(f"/v1/{topic}:publish", json={"messages": [message]}) as answer:
        assert len((await answer.json())["messageIds"]) == 1


async def test_deletion_answers_an_empty_object(rest, topic):
    async with rest.delete(f"/v1/{topic}") as answer:
        assert (answer.status, await answer.json()) == (200, {})


# docs: apis/docs/system-parameters
async def test_system_parameters_are_no_fields(rest, topic):
    async with rest.get(f"/v1/{topic}", params={"alt": "json", "prettyPrint": "false"}) as answer:
        assert (await answer.json())["name"] == topic
