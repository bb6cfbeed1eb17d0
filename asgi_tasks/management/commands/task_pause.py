from datetime import UTC, datetime

from asgi_tasks.management.pausing import PauseCommand
from asgi_tasks.provisioning import Pair, PubSubAdmin, Subscription
from asgi_tasks.provisioning.pausing import pause, paused_since
from asgi_tasks.provisioning.resources import short


class Command(PauseCommand):
    """Stop the delivery of one task; its messages wait."""

    help = "Stop the delivery of one task: its messages wait until task_resume."

    def do(self, pair: Pair, live: Subscription, admin: PubSubAdmin) -> str:
        change = pause(live, datetime.now(UTC).date())
        name, days = short(live.name), live.retention / 86_400
        kept = f"A message waits for {live.retention:,.0f} s ({days:g} days), then it is deleted."
        if change is None:
            return f"{name} is paused already, since {paused_since(live)}. {kept}"
        admin.make(change)
        return f"Paused {name}. {kept}"
