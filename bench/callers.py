"""
Calls of ``task.aenqueue()`` from a process of its own, whatever becomes of the earlier ones.

``python -m bench.callers`` reads orders like ``{"a_second": 10, "count": 50, "seed": 1}``, a line
each. The calls come as strangers' do: independently of each other, by a seeded Poisson process.
"""

import asyncio
import json
import random
import sys
import time

import django


async def main():
    from bench.site.tasks import note_start

    while line := await asyncio.to_thread(sys.stdin.readline):
        answer = await call(note_start, **json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


async def call(task, *, a_second, count, seed):
    """Call it so often; the seconds until each was confirmed, and those of all calls together."""
    loop, dice = asyncio.get_running_loop(), random.Random(seed)

    async def enqueue():
        called = time.time()
        await task.aenqueue(called)
        return time.time() - called

    began = due = loop.time()
    calls = []
    for _ in range(count):
        due += dice.expovariate(a_second)
        await asyncio.sleep(max(0, due - loop.time()))
        calls.append(loop.create_task(enqueue()))
    seconds = loop.time() - began
    return {"confirmed": await asyncio.gather(*calls), "seconds": seconds}


if __name__ == "__main__":
    django.setup()
    asyncio.run(main())
