"""Full names of topics and subscriptions from what somebody typed."""


def full_name(project: str, kind: str, name: str) -> str:
    """kind is "topics" or "subscriptions"; a name with a slash is full already."""
    return name if "/" in name else f"projects/{project}/{kind}/{name}"
