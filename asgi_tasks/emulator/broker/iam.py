"""
IAM policies of topics and subscriptions. They are checked and kept, and asked one thing only:
whether Pub/Sub itself may forward dead letters. Whoever calls the emulator may do anything.
"""

import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from asgi_tasks.emulator.errors import Aborted, InvalidArgument

NO_POLICY_ETAG: Final = b"\x00\x20\x01"  # "ACAB" in JSON
VERSIONS: Final = frozenset({0, 1, 3})

_TAGS = ("createTagBinding", "deleteTagBinding", "listEffectiveTags", "listTagBindings")
_COMMON = ("get", "update", "delete", "getIamPolicy", "setIamPolicy", *_TAGS)
_OF_TOPICS = ("publish", "attachSubscription", "detachSubscription", "updateTag", *_COMMON)

# What can be asked of a topic or subscription; creating and listing belong to the project.
PERMISSIONS: Final = {
    "topics": frozenset(f"pubsub.topics.{verb}" for verb in _OF_TOPICS),
    "subscriptions": frozenset(f"pubsub.subscriptions.{verb}" for verb in ("consume", *_COMMON)),
}

_ALL_POWERFUL = frozenset(
    {"roles/owner", "roles/editor", "roles/pubsub.admin", "roles/pubsub.editor"}
)
CONSUMERS: Final = _ALL_POWERFUL | {"roles/pubsub.subscriber"}
PUBLISHERS: Final = _ALL_POWERFUL | {"roles/pubsub.publisher"}

_RESOURCE = re.compile(r"projects/[^/]+/(topics|subscriptions)/[^/]+")
_ROLE = re.compile(r"(?:(?:projects|organizations)/[^/\s]+/)?roles/[A-Za-z0-9_.]+")
_MEMBER = re.compile(
    r"allUsers|allAuthenticatedUsers"
    r"|(?:deleted:)?(?:(?:user|serviceAccount|group):|principal://)\S+"
    r"|(?:domain|projectOwner|projectEditor|projectViewer):\S+"
    r"|principalSet://\S+"
)
_SERVICE_AGENT = re.compile(
    r"serviceAccount:service-[0-9]+@gcp-sa-pubsub\.iam\.gserviceaccount\.com"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    role: str
    members: tuple[str, ...]
    condition: object | None = None  # kept and compared, never evaluated


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    bindings: tuple[Binding, ...] = ()
    version: int = 0
    etag: bytes = NO_POLICY_ETAG


class IamPolicies:
    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._policies: dict[str, Policy] = {}
        # Like Google's, etags hold microseconds; so none of before a restart fits after it.
        self._etags = count(int(clock() * 1_000_000))

    def get(self, resource: str) -> Policy:
        return self._policies.get(resource, Policy())

    def set(
        self, resource: str, bindings: Iterable[Binding], *, version: int = 0, etag: bytes = b""
    ) -> Policy:
        """Replace a policy; with an etag only if it still is the one that etag came with."""
        bindings = _merged(bindings)
        _check_version(version, bindings)
        self._check_etag(resource, etag)
        policy = Policy(bindings=bindings, version=version, etag=self._new_etag())
        self._policies[resource] = policy
        return policy

    def forget(self, resource: str) -> None:
        self._policies.pop(resource, None)

    def clear(self) -> None:
        self._policies.clear()

    def permissions(self, resource: str, asked: Iterable[str]) -> list[str]:
        """Those of the permissions asked for that the caller has: all, if they exist."""
        match = _RESOURCE.fullmatch(resource)
        if match is None:
            raise InvalidArgument(f"resource: {resource!r} is neither a topic nor a subscription.")
        asked = list(asked)
        for permission in asked:
            _check_permission(permission, match[1])
        return asked

    def may_forward(self, subscription: str, dead_letter_topic: str) -> bool:
        """Whether one Pub/Sub service agent may both take from the one and publish to the other."""
        consumers = _members(self.get(subscription), CONSUMERS)
        publishers = _members(self.get(dead_letter_topic), PUBLISHERS)
        return any(_SERVICE_AGENT.fullmatch(member) for member in consumers & publishers)

    def _check_etag(self, resource: str, etag: bytes) -> None:
        current = self.get(resource).etag
        if etag and etag != current:
            raise Aborted(
                "There were concurrent policy changes. Please retry the whole read-modify-write "
                f"with exponential backoff. The request's ETag {_shown(etag)} did not match the "
                f"current policy's ETag {_shown(current)}."
            )

    def _new_etag(self) -> bytes:
        return b"\x07" + next(self._etags).to_bytes(7)


def _shown(etag: bytes) -> str:
    return b64encode(etag).decode()


def _merged(bindings: Iterable[Binding]) -> tuple[Binding, ...]:
    """One binding for each role and condition; one without members is none."""
    merged: list[Binding] = []
    for binding in bindings:
        _check_binding(binding)
        place = _place(merged, binding)
        if place is None:
            merged.append(replace(binding, members=_unique(binding.members)))
        else:
            members = _unique((*merged[place].members, *binding.members))
            merged[place] = replace(binding, members=members)
    return tuple(binding for binding in merged if binding.members)


def _place(bindings: list[Binding], wanted: Binding) -> int | None:
    # A condition may be a protobuf message: it can be compared, not hashed.
    for place, binding in enumerate(bindings):
        if (binding.role, binding.condition) == (wanted.role, wanted.condition):
            return place
    return None


def _unique(members: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(members))


def _check_binding(binding: Binding) -> None:
    if _ROLE.fullmatch(binding.role) is None:
        raise InvalidArgument(
            f"policy.bindings.role: {binding.role!r} is not roles/ROLE, "
            "projects/PROJECT/roles/ROLE or organizations/ORGANIZATION/roles/ROLE."
        )
    for member in binding.members:
        if _MEMBER.fullmatch(member) is None:
            raise InvalidArgument(
                f"policy.bindings.members: {member!r} is not allUsers, allAuthenticatedUsers or of "
                'the form "<type>:<value>", as serviceAccount:EMAIL or user:EMAIL.'
            )


def _check_version(version: int, bindings: Iterable[Binding]) -> None:
    if version not in VERSIONS:
        raise InvalidArgument(f"policy.version: {version} is not 0, 1 or 3.")
    if version != 3 and any(binding.condition is not None for binding in bindings):
        raise InvalidArgument("policy.version: must be 3, as a binding has a condition.")


def _check_permission(permission: str, kind: str) -> None:
    if "*" in permission:
        raise InvalidArgument(
            f"permissions: {permission!r} has a wildcard; name each permission by itself."
        )
    if permission not in PERMISSIONS[kind]:
        known = ", ".join(sorted(PERMISSIONS[kind]))
        raise InvalidArgument(
            f"permissions: {permission!r} is not valid for this resource; {kind} have {known}."
        )


def _members(policy: Policy, roles: frozenset[str]) -> frozenset[str]:
    """Who has one of the roles for certain, that is without a condition."""
    return frozenset(
        member
        for binding in policy.bindings
        if binding.role in roles and binding.condition is None
        for member in binding.members
    )
