"""IAM policies as an emulator needs them: read-modify-write, refusals, and dead letters."""

from base64 import b64encode

import pytest
from google.type import expr_pb2

from asgi_tasks.emulator.broker.iam import PERMISSIONS, Binding, IamPolicies, Policy
from asgi_tasks.emulator.errors import Aborted, InvalidArgument

TOPIC = "projects/p/topics/dead"
SUB = "projects/p/subscriptions/tasks"
ALICE, BOB = "user:alice@example.com", "user:bob@example.com"
AGENT = "serviceAccount:service-123456@gcp-sa-pubsub.iam.gserviceaccount.com"
OTHER_AGENT = "serviceAccount:service-7@gcp-sa-pubsub.iam.gserviceaccount.com"
PUBLISHER, SUBSCRIBER = "roles/pubsub.publisher", "roles/pubsub.subscriber"


@pytest.fixture
def policies():
    return IamPolicies(clock=lambda: 1_700_000_000.25)


def binding(role=PUBLISHER, *members, condition=None):
    return Binding(role=role, members=members or (ALICE,), condition=condition)


def condition(expression="request.time < timestamp('2030-01-01T00:00:00Z')"):
    return expr_pb2.Expr(title="until 2030", expression=expression)


def refusal(policies, *bindings, **fields):
    with pytest.raises(InvalidArgument) as refused:
        policies.set(TOPIC, bindings, **fields)
    assert policies.get(TOPIC) == Policy()
    return refused.value.message


# Policies


def test_resource_without_a_policy_has_googles_empty_one(policies):
    policy = policies.get(TOPIC)
    assert policy == Policy(bindings=(), version=0, etag=b"\x00\x20\x01")
    assert b64encode(policy.etag) == b"ACAB"


def test_policy_set_is_the_policy_got(policies):
    policy = policies.set(TOPIC, [binding(PUBLISHER, ALICE, BOB)], version=1)
    assert policy.bindings == (Binding(role=PUBLISHER, members=(ALICE, BOB)),)
    assert policy.version == 1
    assert policies.get(TOPIC) == policy
    assert policies.get(SUB) == Policy()


def test_policy_replaces_the_one_before(policies):
    policies.set(TOPIC, [binding(PUBLISHER, ALICE), binding(SUBSCRIBER, ALICE)])
    policy = policies.set(TOPIC, [binding(PUBLISHER, BOB)])
    assert policy.bindings == (binding(PUBLISHER, BOB),)
    assert policies.set(TOPIC, []).bindings == ()


def test_etags_are_new_each_time_and_look_like_googles(policies):
    etags = [policies.set(resource, [binding()]).etag for resource in (TOPIC, TOPIC, SUB)]
    assert len(set(etags)) == 3
    assert {etag[0] for etag in etags} == {7}
    assert int.from_bytes(etags[0][1:]) == 1_700_000_000_250_000


def test_etags_of_before_a_restart_do_not_come_back():
    before = IamPolicies(clock=lambda: 1_700_000_000.0).set(TOPIC, []).etag
    after = IamPolicies(clock=lambda: 1_700_000_001.0).set(TOPIC, []).etag
    assert before < after


def test_read_modify_write_goes_through(policies):
    first = policies.set(TOPIC, [binding()], etag=policies.get(TOPIC).etag)
    second = policies.set(TOPIC, [*first.bindings, binding(PUBLISHER, BOB)], etag=first.etag)
    assert second.bindings == (binding(PUBLISHER, ALICE, BOB),)


def test_stale_etag_is_aborted_and_changes_nothing(policies):
    stale = policies.set(TOPIC, [binding()]).etag
    current = policies.set(TOPIC, [binding(PUBLISHER, BOB)])

    with pytest.raises(Aborted, match="retry the whole read-modify-write") as aborted:
        policies.set(TOPIC, [binding(SUBSCRIBER)], etag=stale)

    assert (aborted.value.status, aborted.value.http_status) == ("ABORTED", 409)
    assert b64encode(stale).decode() in aborted.value.message
    assert b64encode(current.etag).decode() in aborted.value.message
    assert policies.get(TOPIC) == current


def test_empty_policys_etag_is_stale_once_there_is_a_policy(policies):
    empty = policies.get(TOPIC).etag
    policies.set(TOPIC, [binding()], etag=empty)
    with pytest.raises(Aborted):
        policies.set(TOPIC, [binding()], etag=empty)


def test_without_an_etag_the_last_one_wins(policies):
    policies.set(TOPIC, [binding()])
    assert policies.set(TOPIC, [binding(PUBLISHER, BOB)]).bindings == (binding(PUBLISHER, BOB),)


def test_forgotten_policy_is_empty_again(policies):
    policies.set(TOPIC, [binding()])
    kept = policies.set(SUB, [binding()])
    policies.forget(TOPIC)
    policies.forget("projects/p/topics/never-there")
    assert policies.get(TOPIC) == Policy()
    assert policies.get(SUB) == kept


def test_clear_forgets_all(policies):
    policies.set(TOPIC, [binding()])
    policies.set(SUB, [binding()])
    policies.clear()
    assert policies.get(TOPIC) == policies.get(SUB) == Policy()


# Bindings


def test_bindings_of_one_role_are_merged_in_order(policies):
    policy = policies.set(
        TOPIC,
        [
            binding(PUBLISHER, BOB, ALICE, BOB),
            binding(SUBSCRIBER, ALICE),
            binding(PUBLISHER, ALICE, AGENT),
        ],
    )
    assert policy.bindings == (
        binding(PUBLISHER, BOB, ALICE, AGENT),
        binding(SUBSCRIBER, ALICE),
    )


def test_bindings_of_one_role_are_merged_only_under_the_same_condition(policies):
    policy = policies.set(
        TOPIC,
        [
            binding(PUBLISHER, ALICE),
            binding(PUBLISHER, ALICE, condition=condition()),
            binding(PUBLISHER, BOB, condition=condition()),
            binding(PUBLISHER, BOB, condition=condition("false")),
        ],
        version=3,
    )
    assert policy.bindings == (
        binding(PUBLISHER, ALICE),
        binding(PUBLISHER, ALICE, BOB, condition=condition()),
        binding(PUBLISHER, BOB, condition=condition("false")),
    )


def test_binding_without_members_is_dropped(policies):
    nobody = Binding(role=SUBSCRIBER, members=())
    assert policies.set(TOPIC, [nobody, binding()]).bindings == (binding(),)


@pytest.mark.parametrize(
    "role",
    [
        "roles/viewer",
        "roles/pubsub.publisher",
        "projects/my-project/roles/my.Custom_role1",
        "organizations/123456/roles/custom",
    ],
)
def test_roles_of_google_projects_and_organizations_are_accepted(policies, role):
    assert policies.set(TOPIC, [binding(role)]).bindings[0].role == role


@pytest.mark.parametrize(
    "role",
    [
        "",
        "roles/",
        "publisher",
        "pubsub.publisher",
        "Roles/viewer",
        "roles/pubsub/publisher",
        "roles/pubsub publisher",
        "roles/viewer\n",
        "projects//roles/custom",
        "folders/1/roles/custom",
        "projects/p/custom",
    ],
)
def test_other_roles_are_refused(policies, role):
    message = refusal(policies, binding(), binding(role))
    assert message.startswith(f"policy.bindings.role: {role!r} is not roles/ROLE")


@pytest.mark.parametrize(
    "member",
    [
        "allUsers",
        "allAuthenticatedUsers",
        ALICE,
        AGENT,
        "serviceAccount:p.svc.id.goog[namespace/account]",
        "group:admins@example.com",
        "domain:example.com",
        "projectOwner:my-project",
        "projectEditor:my-project",
        "projectViewer:my-project",
        "principal://iam.googleapis.com/locations/global/workforcePools/pool/subject/s",
        "principalSet://iam.googleapis.com/locations/global/workforcePools/pool/*",
        "deleted:user:alice@example.com?uid=123456789012345678901",
        "deleted:serviceAccount:a@p.iam.gserviceaccount.com?uid=123456789012345678901",
        "deleted:group:admins@example.com?uid=123456789012345678901",
        "deleted:principal://iam.googleapis.com/locations/global/workforcePools/pool/subject/s",
    ],
)
def test_documented_members_are_accepted(policies, member):
    assert policies.set(TOPIC, [binding(PUBLISHER, member)]).bindings[0].members == (member,)


@pytest.mark.parametrize(
    "member",
    [
        "",
        "alice@example.com",
        "user:",
        "users:alice@example.com",
        "User:alice@example.com",
        "serviceaccount:a@p.iam.gserviceaccount.com",
        "user:alice @example.com",
        "user:alice@example.com\n",
        " user:alice@example.com",
        "allusers",
        "allUsers:x",
        "principal:iam.googleapis.com",
        "principalSet://",
        "deleted:",
        "deleted:alice@example.com",
        "deleted:user:",
        "deleted:domain:example.com",
        "deleted:deleted:user:alice@example.com?uid=1",
    ],
)
def test_other_members_are_refused(policies, member):
    message = refusal(policies, binding(PUBLISHER, ALICE, member))
    assert message.startswith(f"policy.bindings.members: {member!r} is not ")


@pytest.mark.parametrize("version", [0, 1, 3])
def test_documented_versions_are_accepted(policies, version):
    assert policies.set(TOPIC, [binding()], version=version).version == version


@pytest.mark.parametrize("version", [-1, 2, 4])
def test_other_versions_are_refused(policies, version):
    assert refusal(policies, binding(), version=version) == (
        f"policy.version: {version} is not 0, 1 or 3."
    )


@pytest.mark.parametrize("version", [0, 1])
def test_condition_needs_version_3(policies, version):
    conditional = binding(condition=condition())
    assert refusal(policies, binding(), conditional, version=version).startswith("policy.version: ")
    assert policies.set(TOPIC, [conditional], version=3).bindings == (conditional,)


# Permissions


@pytest.mark.parametrize(
    ("resource", "asked"),
    [
        (TOPIC, ["pubsub.topics.publish", "pubsub.topics.attachSubscription"]),
        (SUB, ["pubsub.subscriptions.update", "pubsub.subscriptions.consume"]),
        ("projects/topics/subscriptions/topics", ["pubsub.subscriptions.get"]),
        (TOPIC, []),
    ],
)
def test_caller_has_every_permission_it_asks_for(policies, resource, asked):
    assert policies.permissions(resource, iter(asked)) == asked


@pytest.mark.parametrize(("kind", "count"), [("topics", 13), ("subscriptions", 10)])
def test_all_of_a_resources_permissions_can_be_asked_for(policies, kind, count):
    asked = sorted(PERMISSIONS[kind])
    assert len(asked) == count
    assert all(permission.startswith(f"pubsub.{kind}.") for permission in asked)
    assert policies.permissions(f"projects/p/{kind}/name", asked) == asked


@pytest.mark.parametrize("permission", ["*", "pubsub.*", "pubsub.topics.*"])
def test_wildcard_is_refused(policies, permission):
    with pytest.raises(InvalidArgument, match=r"^permissions: .* has a wildcard"):
        policies.permissions(TOPIC, ["pubsub.topics.get", permission])


@pytest.mark.parametrize(
    ("resource", "permission"),
    [
        (TOPIC, "pubsub.subscriptions.consume"),
        (SUB, "pubsub.topics.publish"),
        (TOPIC, "pubsub.topics.create"),
        (SUB, "pubsub.subscriptions.list"),
        (TOPIC, "pubsub.topics.eat"),
        (TOPIC, "publish"),
        (TOPIC, "roles/pubsub.publisher"),
        (TOPIC, ""),
    ],
)
def test_permission_of_something_else_is_refused(policies, resource, permission):
    with pytest.raises(InvalidArgument) as refused:
        policies.permissions(resource, [permission])
    assert refused.value.message.startswith(f"permissions: {permission!r} is not valid")


@pytest.mark.parametrize("resource", ["", "projects/p", "projects/p/snapshots/s", f"{TOPIC}/x"])
def test_permissions_of_other_resources_are_refused(policies, resource):
    with pytest.raises(InvalidArgument, match=r"^resource: "):
        policies.permissions(resource, ["pubsub.topics.get"])


# Dead letters


def grant(policies, resource, role, *members, **fields):
    bindings = [*policies.get(resource).bindings, Binding(role=role, members=members, **fields)]
    policies.set(resource, bindings, version=3)


@pytest.mark.parametrize(
    "on_subscription",
    [SUBSCRIBER, "roles/pubsub.editor", "roles/pubsub.admin", "roles/editor", "roles/owner"],
)
@pytest.mark.parametrize(
    "on_topic",
    [PUBLISHER, "roles/pubsub.editor", "roles/pubsub.admin", "roles/editor", "roles/owner"],
)
def test_service_agent_with_both_roles_may_forward(policies, on_subscription, on_topic):
    grant(policies, SUB, on_subscription, ALICE, AGENT)
    grant(policies, TOPIC, on_topic, AGENT, BOB)
    assert policies.may_forward(SUB, TOPIC)


@pytest.mark.parametrize(
    ("on_subscription", "on_topic"),
    [
        (SUBSCRIBER, None),
        (None, PUBLISHER),
        (None, None),
        (PUBLISHER, SUBSCRIBER),
        (SUBSCRIBER, SUBSCRIBER),
        (PUBLISHER, PUBLISHER),
        (SUBSCRIBER, "roles/pubsub.viewer"),
        ("roles/viewer", PUBLISHER),
        ("projects/p/roles/custom", PUBLISHER),
    ],
)
def test_service_agent_without_both_roles_may_not_forward(policies, on_subscription, on_topic):
    for resource, role in ((SUB, on_subscription), (TOPIC, on_topic)):
        if role is not None:
            grant(policies, resource, role, AGENT)
    assert not policies.may_forward(SUB, TOPIC)


def test_two_service_agents_with_a_role_each_may_not_forward(policies):
    grant(policies, SUB, SUBSCRIBER, AGENT)
    grant(policies, TOPIC, PUBLISHER, OTHER_AGENT)
    assert not policies.may_forward(SUB, TOPIC)
    grant(policies, TOPIC, "roles/pubsub.editor", AGENT)
    assert policies.may_forward(SUB, TOPIC)


@pytest.mark.parametrize(
    "member",
    [
        "serviceAccount:invoker@p.iam.gserviceaccount.com",
        "serviceAccount:service-123456@gcp-sa-run.iam.gserviceaccount.com",
        "serviceAccount:service-p@gcp-sa-pubsub.iam.gserviceaccount.com",
        "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com.evil.example",
        "user:service-1@gcp-sa-pubsub.iam.gserviceaccount.com",
        f"deleted:{AGENT}?uid=123456789012345678901",
        "allUsers",
    ],
)
def test_others_with_both_roles_may_not_forward(policies, member):
    grant(policies, SUB, SUBSCRIBER, member)
    grant(policies, TOPIC, PUBLISHER, member)
    assert not policies.may_forward(SUB, TOPIC)


def test_role_under_a_condition_does_not_count(policies):
    grant(policies, SUB, SUBSCRIBER, AGENT)
    grant(policies, TOPIC, PUBLISHER, AGENT, condition=condition())
    assert not policies.may_forward(SUB, TOPIC)


def test_forgotten_policy_forwards_no_more(policies):
    grant(policies, SUB, SUBSCRIBER, AGENT)
    grant(policies, TOPIC, PUBLISHER, AGENT)
    policies.forget(TOPIC)
    assert not policies.may_forward(SUB, TOPIC)
