"""
Enqueues in a process of its own, as it is told: ``python -m bench.enqueuing``.

It reads orders like ``{"way": "joined", "count": 20000}``, a line each, and answers each with its
figures. PUBSUB_EMULATOR_HOST says where the messages go.
"""

import asyncio
import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import django

TOPIC = "projects/bench/topics/dev-tasks-nothing"
CALLERS = 500
AT_ONCE = 64  # requests of one message each
THREADS = 32
WARM_UP = 20
# What a message of ours has, for those who send one without us.
DATA = json.dumps(
    {
        "v": 1,
        "task_id": "0198a3c2-7f11-7000-8000-000000000001",
        "task_name": "nothing",
        "args": [],
        "kwargs": {},
        "enqueued_at": "2026-01-02T03:04:05.678000+00:00",
    }
).encode()
ATTRIBUTES = {"task_id": "x" * 36, "task_name": "nothing", "signature": "x" * 64}


def main():
    django.setup()
    for line in sys.stdin:
        order = json.loads(line)
        sys.stdout.write(json.dumps(WAYS[order["way"]](order["count"])) + "\n")
        sys.stdout.flush()


def joined(count):
    """task.aenqueue() by many callers."""
    from bench.site.tasks import nothing

    return asyncio.run(a_second(nothing.aenqueue, count, CALLERS))


def apart(count):
    """The same, but each in a request of its own."""
    from asgi_tasks.publishers import publisher

    kept = publisher.MAX_BATCH_MESSAGES, publisher.MAX_TOPIC_REQUESTS, publisher.MAX_REQUESTS
    publisher.MAX_BATCH_MESSAGES = 1
    publisher.MAX_TOPIC_REQUESTS = publisher.MAX_REQUESTS = AT_ONCE
    try:
        return joined(count)
    finally:
        publisher.MAX_BATCH_MESSAGES, publisher.MAX_TOPIC_REQUESTS, publisher.MAX_REQUESTS = kept


def raw(count):
    """gcloud-aio's client alone, a request a message."""

    async def run():
        async with gcloud_publisher() as send:
            return await a_second(send, count, AT_ONCE)

    return asyncio.run(run())


def peer(count):
    """django-tasks-pubsub, and the future of its publish awaited, which it does not do."""
    from django_tasks_pubsub import backend, publisher

    from bench.peer.tasks import nothing

    futures = []

    def publish(topic, data, attributes=None):
        client = publisher.get_publisher()
        futures.append(client.publish(topic=topic, data=data, **(attributes or {})))

    backend.publish = publish

    async def enqueue():
        await nothing.aenqueue()
        await asyncio.wrap_future(futures.pop())

    return asyncio.run(a_second(enqueue, count, CALLERS))


async def a_second(call, count, callers):
    async def work(times):
        for _ in range(times):
            await call()

    await asyncio.gather(*(work(1) for _ in range(WARM_UP)))
    each = max(1, count // callers)
    started = time.perf_counter()
    await asyncio.gather(*(work(each) for _ in range(callers)))
    return each * callers / (time.perf_counter() - started)


def lone(count):
    """Ours and gcloud-aio's alone, one call at a time by turns: the median of each, in seconds."""
    from bench.site.tasks import nothing

    async def run():
        async with gcloud_publisher() as send:
            times = {"ours": [], "raw": []}
            for number in range(WARM_UP + count):
                for name, call in (("ours", nothing.aenqueue), ("raw", send)):
                    started = time.perf_counter()
                    await call()
                    if number >= WARM_UP:
                        times[name].append(time.perf_counter() - started)
            return {name: statistics.median(values) for name, values in times.items()}

    return asyncio.run(run())


def lone_sync(count):
    """task.enqueue(), one call at a time: the median in seconds."""
    from bench.site.tasks import nothing

    return median(nothing.enqueue, count)


def google(count):
    """publish().result() of Google's client, which does not wait for others: the median."""
    from google.cloud.pubsub_v1 import PublisherClient
    from google.cloud.pubsub_v1.types import BatchSettings

    client = PublisherClient(batch_settings=BatchSettings(max_latency=0))
    found = median(lambda: client.publish(TOPIC, DATA, **ATTRIBUTES).result(10), count)
    client.stop()
    return found


def median(call, count):
    times = []
    for _ in range(WARM_UP + count):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times[WARM_UP:])


def threads(count):
    """task.enqueue() by many threads: how many a second."""
    from bench.site.tasks import nothing

    each = max(1, count // THREADS)

    def work(times):
        for _ in range(times):
            nothing.enqueue()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, [1] * THREADS))
        started = time.perf_counter()
        list(pool.map(work, [each] * THREADS))
        return each * THREADS / (time.perf_counter() - started)


@asynccontextmanager
async def gcloud_publisher():
    """A call that sends one message by gcloud-aio's client."""
    import aiohttp
    from gcloud.aio.pubsub import PublisherClient, PubsubMessage

    async with aiohttp.ClientSession() as session:
        client = PublisherClient(session=session)

        async def send():
            await client.publish(TOPIC, [PubsubMessage(DATA, **ATTRIBUTES)])

        yield send


WAYS = {way.__name__: way for way in (joined, apart, raw, peer, lone, lone_sync, google, threads)}

if __name__ == "__main__":
    main()
