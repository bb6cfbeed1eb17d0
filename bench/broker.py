"""
Pub/Sub's publish, and nothing else: ``python -m bench.broker REST-PORT GRPC-PORT``.

It confirms whatever it is sent and forgets it, so that little of what is measured is the server's.
"""

import asyncio
import itertools
import json
import sys

import grpc
import grpc.aio
from google.pubsub_v1.types import PublishRequest, PublishResponse

numbers = itertools.count(1)


async def main(rest_port, grpc_port):
    loop = asyncio.get_running_loop()
    rest = await loop.create_server(Connection, "127.0.0.1", rest_port)
    method = grpc.unary_unary_rpc_method_handler(
        publish, PublishRequest.deserialize, PublishResponse.serialize
    )
    service = grpc.method_handlers_generic_handler(
        "google.pubsub.v1.Publisher", {"Publish": method}
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await server.start()
    await rest.serve_forever()


async def publish(request, context):
    return PublishResponse(message_ids=ids_of(request.messages))


def ids_of(messages):
    return [str(next(numbers)) for _ in messages]


class Connection(asyncio.Protocol):
    """HTTP/1.1 with a length, one request after the other."""

    def connection_made(self, transport):
        self._transport = transport
        self._received = bytearray()

    def data_received(self, data):
        self._received += data
        head, end, _ = self._received.partition(b"\r\n\r\n")
        _, found, length = head.lower().partition(b"\r\ncontent-length:")
        size = len(head) + 4 + (int(length.split(b"\r\n")[0]) if found else 0)
        if end and len(self._received) >= size:
            body = bytes(self._received[len(head) + 4 : size])
            del self._received[:size]
            self._answer(body)

    def _answer(self, body):
        ids = ids_of(json.loads(body)["messages"]) if body else []
        answer = json.dumps({"messageIds": ids}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(answer) + answer)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
