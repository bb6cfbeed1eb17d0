"""Pushes made wrong at random: whole JSON nodes, single bytes, headers, or nothing but noise.

All chance comes from a random.Random, so that a seed, Hypothesis or a fuzzer can decide it.
"""

import base64
import copy
import json
import random
from dataclasses import dataclass
from types import SimpleNamespace

from asgi_tasks.messages import make_attributes
from tests.pushes import KEY

from .corpus.cases import GOOD, dump, subscription
from .corpus.texts import FIELDS, NOT_AN_OBJECT

SCALARS = [None, True, False, 0, 1, -1, 2, 10**20, 1.5, -0.0, "", "note", "a\r\nb", "é", "\u2028"]
TASKS = ["note", "note_sync", "take", "open_to_all"]
TOKENS = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"\xff", b"\\u", b"1e400"]
TOKENS += [b"NaN", b"null", b"-", b"=", b"\\ud800", b"\xed\xa0\x80", b'"v":2', b'"args":[]']
SMALL_TEXTS = [text for text in NOT_AN_OBJECT.values() if isinstance(text, bytes)]
SMALL_TEXTS += [text for text, _ in FIELDS.values() if len(text) < 10_000]
CONTENT_TYPES = ["application/json", "application/json; charset=utf-8", "text/plain", "", "x" * 99]
NAMES = ("task_id", "task_name")
METHODS = ["POST"] * 50 + ["GET", "PUT", "HEAD", "post"]


class Bytes(random.Random):
    """Chance by the bytes of a fuzzer: what it keeps of an input stays as it was."""

    def __init__(self, data):
        super().__init__(0)
        self._data, self._at = data, 0

    def getrandbits(self, k):
        size = (k + 7) // 8
        part = self._data[self._at : self._at + size].ljust(size, b"\x00")
        self._at += size
        return int.from_bytes(part) >> (size * 8 - k)

    def random(self):
        return self.getrandbits(53) / (1 << 53)


@dataclass(slots=True)
class Request:
    """A push that may be wrong. ``message`` is what was signed, if anything was."""

    body: bytes
    message: dict | None = None
    method: str = "POST"
    headers: dict | None = None
    chunk: int | None = None


def good(chance):
    """A push that has to run."""
    message = {
        "v": 1,
        "task_id": f"id-{chance.getrandbits(32)}",
        "task_name": chance.choice(TASKS),
        "args": [any_value(chance) for _ in range(chance.randrange(1, 3))],
        "kwargs": {},
        "enqueued_at": "2026-01-01T00:00:00+00:00",
    }
    return Request(body=dump(envelope(message, dump(message))), message=message)


def hostile(chance):
    """A push made wrong in some way; by luck it may still be right."""
    kind = chance.randrange(8)
    if kind == 0:
        return Request(body=chance.randbytes(chance.randrange(200)))
    if kind == 1:
        return Request(body=chance.choice(SMALL_TEXTS))
    request = good(chance)
    if kind in (2, 3):  # the envelope, after it was signed
        document = json.loads(request.body)
        change_nodes(chance, document)
        request.body = dump(document)
    elif kind == 4:
        request.body = change_bytes(chance, request.body)
    elif kind in (5, 6):  # the message, and signed as it then stands
        request = signed_afterwards(chance, request.message, in_bytes=kind == 6)
    else:
        change_headers(chance, request)
    return request


def signed_afterwards(chance, message, *, in_bytes):
    """A push by somebody who has the key and another idea of messages."""
    if in_bytes:
        data = change_bytes(chance, dump(message))
    else:
        change_nodes(chance, message)
        data = dump(message)
    return Request(body=dump(envelope(message, data)), message=read(data))


def envelope(message, data):
    names = {k: v if isinstance(v := message.get(k), str) else "note" for k in NAMES}
    document = json.loads(GOOD)
    document["message"]["data"] = base64.b64encode(data).decode()
    document["message"]["attributes"] = make_attributes(SimpleNamespace(**names), data, KEY)
    document["subscription"] = subscription(names["task_name"])
    return document


def data_of(body):
    """The message that a body which was accepted carries."""
    return read(base64.b64decode(json.loads(body)["message"]["data"]))


def read(data):
    """What these bytes say to a reader who forgives; None if it is no object."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def change_nodes(chance, document):
    """Replace, remove, repeat or add some nodes of a document."""
    for _ in range(chance.randrange(1, 4)):
        nodes = list(find_containers(document))
        node = chance.choice(nodes)
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        change = chance.randrange(4)
        if change == 0 or not keys:
            add(chance, node)
        elif change == 1:
            del node[chance.choice(keys)]
        elif change == 2:
            node[chance.choice(keys)] = any_value(chance)
        else:
            node[chance.choice(keys)] = copy.deepcopy(chance.choice(nodes))


def find_containers(node):
    yield node
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            yield from find_containers(child)


def add(chance, node):
    if isinstance(node, dict):
        node[chance.choice(["v", "data", "x", "", "self", "é", "message"])] = any_value(chance)
    else:
        node.insert(chance.randrange(len(node) + 1), any_value(chance))


def any_value(chance, depth=2):
    kind = chance.randrange(10)
    if kind == 0 and depth:
        return [any_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 1 and depth:
        return {str(n): any_value(chance, depth - 1) for n in range(chance.randrange(4))}
    if kind == 2:
        return "".join(chr(chance.randrange(0x20, 0x2100)) for _ in range(chance.randrange(8)))
    if kind == 3:
        return chance.randrange(-(10**6), 10**6)
    return chance.choice(SCALARS)


def change_bytes(chance, text):
    """Flip, cut, repeat or put in some bytes."""
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(text) + 1)
        to = min(len(text), at + chance.randrange(1, 20))
        change = chance.randrange(5)
        if change == 0 and at < len(text):
            flipped = text[at] ^ 1 << chance.randrange(8)
            text = text[:at] + bytes([flipped]) + text[at + 1 :]
        elif change == 1:
            text = text[:at] + text[to:]
        elif change == 2:
            text = text[:to] + text[at:]
        elif change == 3:
            text = text[:at] + chance.choice(TOKENS) + text[at:]
        else:
            text = text[:at]
    return text


def change_headers(chance, request):
    request.method = chance.choice(METHODS)
    request.chunk = chance.choice([None, 1, 7, 100])
    request.headers = {
        "content-type": chance.choice(CONTENT_TYPES),
        "content-length": chance.choice(["0", "-1", "x", "9" * 20, str(len(request.body))]),
        "content-encoding": chance.choice(["identity", "gzip", ""]),
        "authorization": chance.choice(["", "Bearer", "Bearer a.b.c", "Basic eA==", "é"]),
        "x": "\x00\r\n\x1b\xff",
    }
    for name in chance.sample(sorted(request.headers), chance.randrange(6)):
        del request.headers[name]
