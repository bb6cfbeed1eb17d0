"""What the tests of asgi_tasks.testing do by Pub/Sub's REST API."""

import contextlib
import json
import time
import urllib.error
import urllib.request

TOPIC = "projects/shop/topics/receipts"
QUEUE = "projects/shop/subscriptions/receipts-sub"
LONG = 600  # seconds; no test waits that long
SECRET = "c2VjcmV0"  # of every message
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PubSub:
    def __init__(self, emulator):
        self.url = emulator.url

    def status(self):
        return self.call("GET", "emulator/status")

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, method=method)
        with OPENER.open(request, timeout=10) as response:
            return json.load(response)

    def create_topic(self, name):
        self.call("PUT", f"v1/{name}", {})

    def subscribe(self, endpoint_url, *, topic=TOPIC, name=QUEUE, delay=LONG, **fields):
        """Have a topic pushed, or pulled if there is no URL; retries come after so many seconds."""
        with contextlib.suppress(urllib.error.HTTPError):  # it is there already
            self.create_topic(topic)
        delays = {"minimumBackoff": f"{delay}s", "maximumBackoff": f"{delay}s"}
        push = {"pushConfig": {"pushEndpoint": endpoint_url}} if endpoint_url else {}
        settings = {"topic": topic, "retryPolicy": delays, "ackDeadlineSeconds": LONG}
        self.call("PUT", f"v1/{name}", settings | push | fields)

    def publish(self, task="send_receipt", task_id="1", *, topic=TOPIC, **fields):
        """A message with the attributes of a task; its id."""
        message = {"attributes": {"task_name": task, "task_id": task_id}, "data": SECRET}
        published = self.call("POST", f"v1/{topic}:publish", {"messages": [message | fields]})
        return published["messageIds"][0]

    def pull_and_acknowledge(self, name):
        received = self.call("POST", f"v1/{name}:pull", {"maxMessages": 10})["receivedMessages"]
        ack_ids = [message["ackId"] for message in received]
        self.call("POST", f"v1/{name}:acknowledge", {"ackIds": ack_ids})


def statuses(deliveries):
    return [delivery.status for delivery in deliveries]


def until(condition):
    """What the condition returns once it is true."""
    deadline = time.monotonic() + 20
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return value
