from asgi_tasks.management.pausing import PauseCommand
from asgi_tasks.provisioning import Pair, PubSubAdmin, Subscription
from asgi_tasks.provisioning.pausing import resume
from asgi_tasks.provisioning.resources import short


class Command(PauseCommand):
    """Restart the delivery of one task."""

    help = "Restart the delivery of one task that task_pause stopped."

    def do(self, pair: Pair, live: Subscription, admin: PubSubAdmin) -> str:
        change = resume(live, pair)
        name, endpoint = short(live.name), pair.subscription.endpoint
        if change is None:
            return f"{name} is not paused: it is pushed to {endpoint}."
        admin.make(change)
        return f"Resumed {name}: it is pushed to {endpoint}."
