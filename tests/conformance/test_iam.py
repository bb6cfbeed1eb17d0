"""GetIamPolicy, SetIamPolicy, TestIamPermissions; docs: access-control."""

import pytest
from google.api_core import exceptions

PERMISSIONS = {
    "topic": ["pubsub.topics.get", "pubsub.topics.publish"],
    "subscription": ["pubsub.subscriptions.get", "pubsub.subscriptions.consume"],
}


@pytest.fixture(params=["topic", "subscription"])
def kind(request):
    return request.param


@pytest.fixture
def client(request, kind):
    return request.getfixturevalue("publisher" if kind == "topic" else "subscriber")


@pytest.fixture
def resource(request, kind):
    return request.getfixturevalue(kind)


@pytest.fixture
def unknown(names, kind):
    return getattr(names, kind)("unknown")


@pytest.fixture
def member(account):
    return f"serviceAccount:{account}"


def bindings(policy):
    return {one.role: set(one.members) for one in policy.bindings}


def test_policy_is_empty_at_first(client, resource):
    assert bindings(client.get_iam_policy(request={"resource": resource})) == {}


def test_policy_that_was_set_is_got(client, resource, member):
    wanted = {"bindings": [{"role": "roles/pubsub.viewer", "members": [member]}]}
    answered = client.set_iam_policy(request={"resource": resource, "policy": wanted})
    got = client.get_iam_policy(request={"resource": resource})
    assert bindings(got) == bindings(answered) == {"roles/pubsub.viewer": {member}}
    assert got.etag


# docs: reference/rest/v1/projects.topics/setIamPolicy "Replaces any existing policy."
def test_policy_replaces_the_one_before(client, resource, member):
    for role in ("roles/pubsub.viewer", "roles/pubsub.editor"):
        policy = {"bindings": [{"role": role, "members": [member]}]}
        client.set_iam_policy(request={"resource": resource, "policy": policy})
    got = client.get_iam_policy(request={"resource": resource})
    assert bindings(got) == {"roles/pubsub.editor": {member}}


def test_policy_is_read_changed_and_written(client, resource, member):
    for role in ("roles/pubsub.viewer", "roles/pubsub.editor"):
        policy = client.get_iam_policy(request={"resource": resource})
        policy.bindings.add(role=role, members=[member])
        client.set_iam_policy(request={"resource": resource, "policy": policy})
    got = client.get_iam_policy(request={"resource": resource})
    assert bindings(got) == {"roles/pubsub.viewer": {member}, "roles/pubsub.editor": {member}}


# docs: reference/rest/v1/Policy etag "to help prevent simultaneous updates"; iam/docs/policies
# "If the etag values do not match ... 409 ABORTED"
def test_policy_with_the_etag_of_an_earlier_one_is_aborted(client, resource, member):
    earlier = client.get_iam_policy(request={"resource": resource})
    policy = {"bindings": [{"role": "roles/pubsub.viewer", "members": [member]}]}
    client.set_iam_policy(request={"resource": resource, "policy": policy})
    earlier.bindings.add(role="roles/pubsub.editor", members=[member])
    with pytest.raises(exceptions.Aborted):
        client.set_iam_policy(request={"resource": resource, "policy": earlier})


def test_policy_is_of_one_resource_only(publisher, names, member):
    policy = {"bindings": [{"role": "roles/pubsub.viewer", "members": [member]}]}
    for label in ("a", "b"):
        publisher.create_topic(name=names.topic(label))
    publisher.set_iam_policy(request={"resource": names.topic("a"), "policy": policy})
    assert bindings(publisher.get_iam_policy(request={"resource": names.topic("b")})) == {}


def test_policy_of_an_unknown_resource_is_not_found(client, unknown):
    with pytest.raises(exceptions.NotFound):
        client.get_iam_policy(request={"resource": unknown})


def test_policy_for_an_unknown_resource_is_not_found(client, unknown, member):
    policy = {"bindings": [{"role": "roles/pubsub.viewer", "members": [member]}]}
    with pytest.raises(exceptions.NotFound):
        client.set_iam_policy(request={"resource": unknown, "policy": policy})


def test_permissions_one_has_are_answered(client, kind, resource):
    request = {"resource": resource, "permissions": PERMISSIONS[kind]}
    answered = client.test_iam_permissions(request=request)
    assert set(answered.permissions) == set(PERMISSIONS[kind])


# docs: reference/rest/v1/projects.topics/testIamPermissions
# "Permissions with wildcards (such as * or storage.*) are not allowed."
def test_permissions_with_wildcards_are_refused(client, resource, invalid):
    request = {"resource": resource, "permissions": ["pubsub.topics.*"]}
    with invalid("permissions"):
        client.test_iam_permissions(request=request)


# docs: the same page, "If the resource does not exist, this will return an empty set of
# permissions, not a NOT_FOUND error."
def test_permissions_on_an_unknown_resource_are_none(client, kind, unknown):
    request = {"resource": unknown, "permissions": PERMISSIONS[kind]}
    assert list(client.test_iam_permissions(request=request).permissions) == []


async def test_async_client_sets_and_gets_a_policy(async_publisher, topic, member):
    policy = {"bindings": [{"role": "roles/pubsub.viewer", "members": [member]}]}
    await async_publisher.set_iam_policy(request={"resource": topic, "policy": policy})
    got = await async_publisher.get_iam_policy(request={"resource": topic})
    assert bindings(got) == {"roles/pubsub.viewer": {member}}


async def test_rest_sets_and_gets_a_policy(rest, resource, member):
    bindings = [{"role": "roles/pubsub.viewer", "members": [member]}]
    body = {"policy": {"bindings": bindings}}
    async with rest.post(f"/v1/{resource}:setIamPolicy", json=body) as answer:
        assert answer.status == 200
    async with rest.get(f"/v1/{resource}:getIamPolicy") as answer:
        assert (await answer.json())["bindings"] == bindings


async def test_rest_writes_back_the_policy_it_read(rest, resource, member):
    async with rest.get(f"/v1/{resource}:getIamPolicy") as answer:
        policy = await answer.json()
    policy["bindings"] = [{"role": "roles/pubsub.viewer", "members": [member]}]
    async with rest.post(f"/v1/{resource}:setIamPolicy", json={"policy": policy}) as answer:
        assert answer.status == 200
    async with rest.post(f"/v1/{resource}:setIamPolicy", json={"policy": policy}) as answer:
        assert (answer.status, (await answer.json())["error"]["status"]) == (409, "ABORTED")


async def test_rest_tests_permissions(rest, kind, resource):
    body = {"permissions": PERMISSIONS[kind]}
    async with rest.post(f"/v1/{resource}:testIamPermissions", json=body) as answer:
        assert set((await answer.json())["permissions"]) == set(PERMISSIONS[kind])
