"""Method, content type, size."""

import gzip

from .cases import GOOD, MEGABYTE, Case

BODY_LIMIT = 9_000_000 * 4 // 3 + 1_000_000  # with the default of max_message_bytes


def methods():
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "POSTS"):
        yield Case(name=f"method {method}", status=405, method=method, body=GOOD)


CONTENT_TYPES = {
    "application/json": 204,
    "application/json; charset=utf-8": 204,
    'Application/JSON ; Charset="UTF-8"': 204,
    "application/json;": 204,
    "application/json; version=1": 204,
    "application/json; charset=utf-16": 415,
    "application/json; charset=latin-1": 415,
    "application/json; charset=": 415,
    "application/json; charset=utf-8; charset=utf-16": 415,
    "application/json; charset*=utf-16": 415,
    "text/plain": 415,
    "text/json": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=x": 415,
    "application/json-seq": 415,
    "application/jsonp": 415,
    "application/cloudevents+json": 415,
    "application/octet-stream": 415,
    "application/json, application/json": 415,
    "json": 415,
    ";": 415,
    "": 415,
    "application/json\x00": 415,
    "*/*": 415,
}
CONTENT_ENCODINGS = {
    "identity": 204,
    "Identity": 204,
    "gzip": 415,
    "deflate": 415,
    "br": 415,
    "zstd": 415,
    "identity, gzip": 415,
    "x-unknown": 415,
}


def content_types():
    for value, status in CONTENT_TYPES.items():
        headers = {"content-type": value}
        yield Case(name=f"content type {value!r}", status=status, headers=headers, body=GOOD)
    yield Case(name="content type missing", status=415, headers={"content-type": None}, body=GOOD)
    twice = {"content-type": ["application/json"] * 2}
    yield Case(name="content type twice", status=415, headers=twice, body=GOOD)
    for value, status in CONTENT_ENCODINGS.items():
        headers = {"content-encoding": value}
        yield Case(name=f"content encoding {value}", status=status, headers=headers, body=GOOD)
    headers = {"content-encoding": "gzip"}
    yield Case(name="compressed", status=415, headers=headers, body=gzip.compress(GOOD))
    yield Case(name="compressed in secret", status=400, body=gzip.compress(GOOD))


def padded(size):
    return lambda: GOOD + b" " * (size - len(GOOD))


def sizes():
    for size, status in ((BODY_LIMIT, 204), (BODY_LIMIT + 1, 413), (BODY_LIMIT * 2, 413)):
        yield Case(name=f"{size} bytes", status=status, body=padded(size))
        chunked = Case(name=f"{size} in chunks", status=status, body=padded(size), chunk=MEGABYTE)
        yield chunked
    for length in (str(BODY_LIMIT + 1), "9" * 5000, "0" * 30 + "99999999"):
        declared = {"content-length": length}
        yield Case(
            name=f"declared {length:.20}",
            status=204 if length.startswith("00") else 413,
            headers=declared,
            body=GOOD,
        )
    for length in ("", "-1", "many", "²", "1e9", "0x10"):
        declared = {"content-length": length}
        yield Case(name=f"declared {length!r}", status=204, headers=declared, body=GOOD)
    yield Case(name="byte by byte", status=204, body=GOOD, chunk=1)
