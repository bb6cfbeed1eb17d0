"""
How much the emulator carries: ``python -m bench.emulator``.

Messages are published by gcloud-aio, in requests of 100, and pushed to a plain ASGI app under
Uvicorn: three processes on loopback. The baseline, alternating with it, is aiohttp's client alone
sending the same number of requests to the same app, which is what pushing costs at the least.
"""

import asyncio
import io
import json
import os
import statistics
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from asgi_tasks.management.arguments import number_from
from bench.arguments import Parser, rounds, run
from bench.publish import TOPIC, publish
from tests.processes import free_port, running, wait_until_listening

SUBSCRIPTION = "projects/bench/subscriptions/tasks-sub"
IN_FLIGHT = 64


def main():
    parser = Parser(prog="bench.emulator", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--messages", type=number_from(int, 1), default=20_000)
    parser.add_argument("--rounds", type=rounds, default=5)
    parser.add_argument("--outstanding", type=number_from(int, 1), default=50_000)
    options = parser.parse_args()
    json.dump(asyncio.run(measure(options)), sys.stdout, indent=2)
    sys.stdout.write("\n")


async def measure(options):
    with serving_app() as app_url:
        pushed, posted = [], []
        for _ in range(options.rounds):
            pushed.append(await through_emulator(app_url, options.messages))
            posted.append(await by_client_alone(app_url, options.messages))
    return {
        "messages_a_second": spread(pushed),
        "requests_a_second_of_aiohttp_alone": spread(posted),
        "ratio": spread([a / b for a, b in zip(pushed, posted, strict=True)]),
        "memory": await memory(options.outstanding),
    }


@contextmanager
def serving_app():
    port = free_port()
    app = ("-m", "uvicorn", "bench.plain_app:app", "--log-level", "warning", "--port", str(port))
    with running(sys.executable, *app) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until_listening(process, url)
        yield url


def emulator():
    return running(sys.executable, "-m", "asgi_tasks.emulator", "--port", "0")


async def through_emulator(app_url, messages):
    with emulator() as process:
        url = process.wait_for(r"listening on (http://\S+)")[1]
        put(f"{url}/v1/{TOPIC}", {})
        put(f"{url}/v1/{SUBSCRIPTION}", {"topic": TOPIC, "pushConfig": {"pushEndpoint": app_url}})
        publisher = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.publish", str(messages)),
            env={**os.environ, "PUBSUB_EMULATOR_HOST": url.removeprefix("http://")},
            stdout=asyncio.subprocess.PIPE,
        )
        began = float(await publisher.stdout.readline())
        while acknowledged(url) < messages:
            time.sleep(0.05)
        rate = messages / (time.time() - began)
        await publisher.wait()
        return rate


def acknowledged(url):
    status = get(f"{url}/emulator/status")
    return sum(subscription["acknowledged"] for subscription in status["subscriptions"])


async def by_client_alone(app_url, requests):
    left = iter(range(requests))
    body = json.dumps({"message": {"data": "x" * 400}}).encode()

    async def send(session):
        for _ in left:
            async with session.post(app_url, data=io.BytesIO(body)) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        started = time.perf_counter()
        await asyncio.gather(*(send(session) for _ in range(IN_FLIGHT)))
        return requests / (time.perf_counter() - started)


async def memory(outstanding):
    """The emulator's resident memory in MB, empty and with so many messages pulled, not acked."""
    with emulator() as process:
        url = process.wait_for(r"listening on (http://\S+)")[1]
        os.environ["PUBSUB_EMULATOR_HOST"] = url.removeprefix("http://")
        empty = resident(process.pid)
        put(f"{url}/v1/{TOPIC}", {})
        put(f"{url}/v1/{SUBSCRIPTION}", {"topic": TOPIC, "ackDeadlineSeconds": 600})
        await publish(outstanding)
        waiting = resident(process.pid)
        pulled = 0
        while pulled < outstanding:
            got = post(f"{url}/v1/{SUBSCRIPTION}:pull", {"maxMessages": 1000})
            pulled += len(got["receivedMessages"])
        return {
            "outstanding": outstanding,
            "empty_mb": empty,
            "waiting_mb": waiting,
            "outstanding_mb": resident(process.pid),
        }


def resident(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmRSS"))
    return round(int(kilobytes) / 1024)


def get(url):
    return _request(url, None, "GET")


def put(url, body):
    return _request(url, body, "PUT")


def post(url, body):
    return _request(url, body, "POST")


def _request(url, body, method):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def spread(values):
    return {
        "median": round(statistics.median(values), 2),
        "least": round(min(values), 2),
        "most": round(max(values), 2),
        "rounds": len(values),
    }


if __name__ == "__main__":
    run(main)
