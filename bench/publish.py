"""Publishes N messages with gcloud-aio, and says when it began: ``python -m bench.publish N``."""

import asyncio
import sys
import time

import aiohttp
from gcloud.aio.pubsub import PublisherClient, PubsubMessage

TOPIC = "projects/bench/topics/tasks"
BATCH, CONCURRENT = 100, 4
DATA = b"x" * 300


async def publish(count):
    async with aiohttp.ClientSession() as session:
        client = PublisherClient(session=session)
        batches = iter(range(0, count, BATCH))

        async def work():
            for first in batches:
                some = [
                    PubsubMessage(DATA, task_name="bench", task_id=str(number))
                    for number in range(first, min(first + BATCH, count))
                ]
                await client.publish(TOPIC, some, timeout=60)

        await asyncio.gather(*(work() for _ in range(CONCURRENT)))


if __name__ == "__main__":
    sys.stdout.write(f"{time.time()}\n")
    sys.stdout.flush()
    asyncio.run(publish(int(sys.argv[1])))
