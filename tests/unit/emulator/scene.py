"""A broker on its own: no sockets, and a clock the test moves."""

from asgi_tasks.emulator.broker.core import Broker
from asgi_tasks.emulator.broker.iam import Binding
from asgi_tasks.emulator.broker.model import Draft, PushTarget, Subscription, Topic

TOPIC = "projects/p/topics/tasks"
DEAD = "projects/p/topics/dead"
SUB = "projects/p/subscriptions/tasks-sub"
OTHER_SUB = "projects/p/subscriptions/other-sub"
DEAD_SUB = "projects/p/subscriptions/dead-sub"
PUSHED = PushTarget(endpoint="http://localhost/")
AGENT = "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com"


class StoppedClock:
    def __init__(self, now=1_000.0):
        self.now = now

    def __call__(self):
        return self.now


class Scene:
    """Two topics, a subscription to the dead letters, and a call for what tests do often."""

    def __init__(self, **options):
        self.clock = StoppedClock()
        self.rings = 0
        self.broker = Broker(clock=self.clock, on_change=self._ring, **options)
        for topic in (TOPIC, DEAD):
            self.broker.create_topic(Topic(name=topic))
        self.broker.create_subscription(Subscription(name=DEAD_SUB, topic=DEAD))

    def _ring(self):
        self.rings += 1

    @property
    def queue(self):
        return self.broker.queue(SUB)

    def subscribe(self, name=SUB, *, topic=TOPIC, **settings):
        self.broker.create_subscription(Subscription(name=name, topic=topic, **settings))

    def publish(self, data=b"x", key="", **attributes):
        draft = Draft(data=data, attributes=attributes, ordering_key=key)
        [message_id] = self.broker.publish(TOPIC, [draft])
        return message_id

    def wait(self, seconds):
        self.clock.now += seconds

    def lease(self, limit=100, name=SUB, seconds=None):
        return self.broker.lease(name, limit, seconds=seconds)

    def leased(self):
        """The ids of what can be had now."""
        return ids(self.lease())

    def push(self):
        return [lease for _, lease in self.broker.due_pushes()]

    def pushed(self):
        return ids(self.push())

    def acknowledge(self, lease):
        assert self.broker.acknowledge(lease.entry.subscription, lease.ack_id, status=204)

    def nack(self, lease):
        assert self.broker.nack(lease.entry.subscription, lease.ack_id, status=500)

    def nack_next(self):
        [lease] = self.lease(1)
        self.nack(lease)
        return lease

    def states(self, name=SUB):
        self.broker.catch_up()
        return [entry.state.value for entry in self.broker.entries(subscription=name)]

    def grant(self, *resources):
        for resource in resources:
            binding = Binding(role="roles/pubsub.editor", members=(AGENT,))
            self.broker.policies.set(resource, [binding])


def ids(leases):
    return [lease.message.message_id for lease in leases]
