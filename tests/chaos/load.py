"""Enqueues tasks through the backend, from async and from sync code: a process of its own.

Usage: python -m tests.chaos.load --tasks N --rate PER_SECOND --seed SEED --prefix NAME KIND ...
"""

import argparse
import asyncio
import os
import random

import django

from tests.chaos.journal import Journal

LONGEST = 0.2  # seconds a task takes


async def main(options):
    from asgi_tasks import EnqueueRefused, EnqueueUnconfirmed

    from .site import tasks

    journal = Journal(os.environ["CHAOS_FOLDER"])
    dice = random.Random(f"{options.seed} {options.prefix}")

    async def enqueue(number, kind, seconds, is_sync):
        kwargs = {"number": number, "seconds": seconds}
        task = getattr(tasks, kind)
        facts = {"number": number, "kind": kind}
        try:
            if is_sync:
                result = await asyncio.to_thread(task.enqueue, **kwargs)
            else:
                result = await task.aenqueue(**kwargs)
        except EnqueueUnconfirmed as error:
            journal.write("unconfirmed", id=error.task_id, **facts)
        except EnqueueRefused:
            journal.write("refused", **facts)
        else:
            journal.write("enqueued", id=result.id, **facts)

    async with asyncio.TaskGroup() as group:
        for index in range(options.tasks):
            seconds = round(dice.uniform(0, LONGEST), 3)
            task = (f"{options.prefix}-{index}", dice.choice(options.kinds), seconds)
            group.create_task(enqueue(*task, dice.random() < 0.5))
            await asyncio.sleep(1 / options.rate)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("kinds", nargs="+")
    django.setup()
    asyncio.run(main(parser.parse_args()))
