"""Bodies, and data within good bodies, that are not the JSON they should be."""

import base64
import json

from asgi_tasks.messages import MAX_VALUES

from .cases import DOCUMENT, GOOD, MEGABYTE, Case, added, changed, dump, push

# Bodies and data that are no JSON object.
NOT_AN_OBJECT = {
    "empty": b"",
    "blank": b" \r\n\t",
    "cut at once": b"{",
    "cut in a key": b'{"message',
    "cut in a value": b'{"message": {"data": "eyJ',
    "NUL": b"\x00",
    "NULs": b"\x00" * 1000,
    "list": b"[]",
    "text": b'"x"',
    "null": b"null",
    "number": b"1",
    "true": b"true",
    "fraction": b"1.5",
    "NaN": b"NaN",
    "words": b"message",
    "a form": b"message=%7B%7D&subscription=x",
    "XML": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "YAML": b"!!python/object/apply:os.system ['true']",
    "a pickle": b"cos\nsystem\n(S'true'\ntR.",
    "another pickle": b"\x80\x04\x95\x1d\x00\x00\x00",
    "MessagePack": b"\x81\xa7message\x80",
    "brackets": b"[" * 100_000,
    "brackets in pairs": b"[" * 100_000 + b"]" * 100_000,
    "objects": b'{"a":' * 100_000,
    "five million brackets": lambda: b"[" * 5_000_000,
    "a comment": b'/* */ {"v": 1}',
    "single quotes": b"{'v': 1}",
    "a key without quotes": b"{v: 1}",
    "a surrogate in UTF-8": b'{"v": "\xed\xa0\x80"}',
    "an overlong slash": b'{"v": "\xc0\xaf"}',
    "a control character": b'{"v": "\x01"}',
    "a line break in a text": b'{"v": "\n"}',
    "an escape that is none": b'{"v": "\\x41"}',
    "a million of nothing": lambda: b"[" + b"{}," * MEGABYTE + b"0]",
}
# What spoils a document that is good otherwise.
SPOILERS = {
    "byte order mark": lambda document: b"\xef\xbb\xbf" + document,
    "UTF-16": lambda document: document.decode().encode("utf-16"),
    "UTF-16 without a mark": lambda document: document.decode().encode("utf-16-le"),
    "UTF-32": lambda document: document.decode().encode("utf-32"),
    "UTF-7": lambda document: b"+AHs-" + document[1:],
    "Latin-1": lambda document: document[:-1] + b',"x":"\xfc"}',
    "twice": lambda document: document + document,
    "a bracket more": lambda document: document + b"}",
    "a bracket less": lambda document: document[:-1],
    "a NUL behind": lambda document: document + b"\x00",
    "in a list": lambda document: b"[" + document + b"]",
    "as a text": lambda document: json.dumps(document.decode()).encode(),
}
# Fields that spoil a document, wherever they stand in it; the last ones do not.
FIELDS = {
    "a comma more": (b"", 400),
    "NaN": (b'"x":NaN', 400),
    "Infinity": (b'"x":[Infinity]', 400),
    "-Infinity": (b'"x":{"y":-Infinity}', 400),
    "1e400": (b'"x":1e400', 400),
    "-1e400": (b'"x":[-1e400]', 400),
    "a leading zero": (b'"x":01', 400),
    "a sign": (b'"x":+1', 400),
    "hexadecimal": (b'"x":0x10', 400),
    "a key twice": (b'"x":1,"x":1', 400),
    "a key twice within": (b'"x":{"y":1,"y":2}', 400),
    "a key twice in a list": (b'"x":[{"y":1,"y":2}]', 400),
    "a key twice, escaped": (b'"x":1,"\\u0078":2', 400),
    "a surrogate": (b'"x":"\\ud800"', 400),
    "a low surrogate": (b'"x":["\\uDFFF"]', 400),
    "surrogates swapped": (b'"x":"\\udc00\\ud800"', 400),
    "a surrogate as key": (b'"\\udc00":1', 400),
    "4,301 digits": (b'"x":' + b"9" * 4301, 400),
    "a million digits": (b'"x":' + b"9" * MEGABYTE, 400),
    "64 levels within": (b'"x":' + b"[" * 64 + b"]" * 64, 400),
    "64 objects within": (b'"x":' + b'{"y":' * 64 + b"1" + b"}" * 64, 400),
    "100,000 levels": (b'"x":' + b"[" * 100_000 + b"]" * 100_000, 400),
    "500,000 values more": (b'"x":[' + b"0," * MAX_VALUES + b"0]", 400),
    "500,000 texts more": (b'"x":[' + b'"",' * MAX_VALUES + b"0]", 400),
    "4,300 digits": (b'"x":' + b"9" * 4300, 204),
    "63 levels within": (b'"x":' + b"[" * 63 + b"]" * 63, 204),
    "a pair of surrogates": (b'"x":"\\ud83d\\ude00"', 204),
    "letters behind a backslash": (b'"x":"\\\\ud800"', 204),
    "499,000 values more": (b'"x":[' + b"0," * 499_000 + b"0]", 204),
    "a million commas in a text": (b'"x":"' + b"," * MEGABYTE + b'"', 204),
    "an unknown field": (b'"x":{"y":[1,"z",null]}', 204),
    "an empty key": (b'"":1', 204),
    "a key for Python": (b'"__class__":{"__init__":1}', 204),
}


def made(document):
    return document() if callable(document) else document


def bodies():
    for name, text in NOT_AN_OBJECT.items():
        yield Case(name=f"body {name}", status=400, body=text)
        yield Case(name=f"data {name}", status=400, body=lambda text=text: dump(push(made(text))))
    for name, spoil in SPOILERS.items():
        yield Case(name=f"body {name}", status=400, body=spoil(GOOD))
        yield Case(name=f"data {name}", status=400, body=dump(push(spoil(dump(DOCUMENT)))))
    for name, (text, status) in FIELDS.items():
        yield Case(name=f"body with {name}", status=status, body=added(text))
        yield Case(name=f"data with {name}", status=status, body=added(text, to="data"))


BASE64 = {
    "padding missing": ("e30", 400),
    "padding too long": ("e30==", 400),
    "padding alone": ("====", 400),
    "padding within": ("e3=0", 400),
    "text behind the padding": ("e30=x", 400),
    "two texts": ("e30=e30=", 400),
    "a blank": ("e3 0=", 400),
    "a line break": ("e30=\n", 400),
    "the alphabet of URLs": ("_-8=", 400),
    "another letter": ("é30=", 400),
    "a NUL": ("e30=\x00", 400),
    "percent signs": ("%%%%", 400),
    "a URL": ("data:application/json;base64,e30=", 400),
    "an empty object": ("e30=", 400),
}


def encodings():
    for name, (text, status) in BASE64.items():
        yield Case(name=f"base64: {name}", status=status, body=changed("message.data", text))
    data = dump(DOCUMENT | {"x": "xx"})  # ends in two spare bits
    text = base64.b64encode(data).decode()
    while not text.endswith("=") or text.endswith("=="):
        data += b" "
        text = base64.b64encode(data).decode()
    spare = text[:-2] + chr(ord(text[-2]) + 1) + "="
    document = push(data)
    document["message"]["data"] = spare
    yield Case(name="base64: spare bits set", status=204, body=dump(document))
    lines = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    document["message"]["data"] = lines
    yield Case(name="base64: in lines", status=400, body=dump(document))
