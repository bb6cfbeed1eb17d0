"""google.iam.v1.IAMPolicy, for topics and subscriptions."""

from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]

from asgi_tasks.emulator.api.checks import Protobuf, checked_name
from asgi_tasks.emulator.broker.core import Broker
from asgi_tasks.emulator.broker.iam import Binding, Policy
from asgi_tasks.emulator.errors import NotFound, Unimplemented


class IamPolicyApi:
    """One method a call, from request to response. Refusals are EmulatorErrors."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def get_iam_policy(self, request: Protobuf) -> Protobuf:
        return _write(self._broker.policies.get(self._resource(request)))

    async def set_iam_policy(self, request: Protobuf) -> Protobuf:
        resource, policy = self._resource(request), request.policy
        if policy.audit_configs:
            raise Unimplemented("policy.audit_configs: the emulator does not support it.")
        bindings = [_binding(binding) for binding in policy.bindings]
        return _write(
            self._broker.policies.set(resource, bindings, version=policy.version, etag=policy.etag)
        )

    async def test_iam_permissions(self, request: Protobuf) -> Protobuf:
        allowed = self._broker.policies.permissions(request.resource, request.permissions)
        try:
            self._resource(request)
        except NotFound:  # documented: no permissions instead of an error
            allowed = []
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=allowed)

    def _resource(self, request: Protobuf) -> str:
        """The name of a topic or subscription that is there."""
        name: str = request.resource
        self._broker.catch_up()
        if "/subscriptions/" in name:
            return self._broker.subscription(checked_name("subscriptions", "resource", name)).name
        return self._broker.topic(checked_name("topics", "resource", name)).name


def _binding(binding: Protobuf) -> Binding:
    return Binding(
        role=binding.role,
        members=tuple(binding.members),
        condition=binding.condition if binding.HasField("condition") else None,
    )


def _write(policy: Policy) -> Protobuf:
    written = policy_pb2.Policy(version=policy.version, etag=policy.etag)
    for binding in policy.bindings:
        written.bindings.add(
            role=binding.role, members=binding.members, condition=binding.condition
        )
    return written
