"""Hostile requests, made from the document for every operation that takes a body.

schemathesis varies what a body says; these vary what a body is: bytes that aren't text, text that isn't JSON, JSON that
reads as two things, sizes, lengths and types that lie. Each comes with the statuses that it may be answered with. A 2xx
is among them only where the body is harmless, and a 5xx never.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.contract.documents import Operation
from tests.contract.places import numbers_in, replaced, strings_in

__all__ = ["HostileBody", "hostile_bodies", "nested"]

DEEP = 100_000


class HostileBody(NamedTuple):
    """One hostile body.

    Attributes:
        name: What it is, for the test's report.
        body: The bytes.
        statuses: By what it may be answered.
        content_type: Its announced type; None stands for the operation's own, an empty text for none.
    """

    name: str
    body: bytes
    statuses: frozenset[int]
    content_type: str | None = None


REFUSED = frozenset({400})
WRONG_TYPE = frozenset({415})
TOO_LARGE = frozenset({413})
ANY_REFUSAL = frozenset({400, 404, 409, 412, 413, 415, 422})


def hostile_bodies(operation: Operation, limit_bytes: int) -> Iterator[HostileBody]:
    """Return hostile bodies for an operation.

    Args:
        operation: An operation that takes a body.
        limit_bytes: The largest body that the server takes.
    """
    content = next(iter(operation.definition["requestBody"]["content"].values()))
    good = content.get("example", {})
    yield from _of_wrong_type(json.dumps(good).encode())
    yield HostileBody("too large", b" " * (limit_bytes + 1), TOO_LARGE)
    if operation.media_type != "application/json":
        yield from _of_other_kinds()
        return
    yield from _malformed()
    yield from _ambiguous(good)
    for path, name in strings_in(good):
        yield from _with_strings(good, path, name)
    yield from _with_numbers(good)
    yield from _of_other_shapes(good)


def _of_wrong_type(body: bytes) -> Iterator[HostileBody]:
    for content_type in (
        "",
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/jsonx",
        "json",
        ";;;",
        "application/json, text/plain",
    ):
        yield HostileBody(f"content type {content_type!r}", body, WRONG_TYPE, content_type)


def _of_other_kinds() -> Iterator[HostileBody]:
    for name, body in {
        "empty": b"",
        "NUL": b"\x00",
        "NULs": b"\x00" * 5000,
        "every byte": bytes(range(256)),
        "half a character": b"\xc3",
        "ampersands": b"&" * 5000,
        "equals": b"=" * 5000,
        "percent": b"%",
        "percent NUL": b"a=%00&grant_type=%00",
        "percent surrogate": b"grant_type=%ed%a0%80",
        "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "b">]><a>&b;</a>',
        "entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><Document>&a;</Document>',
        "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        "JSON": b'{"grant_type": "client_credentials"}',
    }.items():
        yield HostileBody(name, body, ANY_REFUSAL | {401})


def nested(depth: int, opening: bytes, closing: bytes, middle: bytes = b"") -> bytes:
    """Return something that nests very deep."""
    return opening * depth + middle + closing * depth


def _malformed() -> Iterator[HostileBody]:
    bodies = {
        "empty": b"",
        "blank": b"   ",
        "word": b"hello",
        "half": b'{"a":',
        "trailing garbage": b"{} x",
        "two texts": b"{}{}",
        "trailing comma": b'{"a": 1,}',
        "comment": b'{} // "comment"',
        "single quotes": b"{'a': 1}",
        "unquoted": b"{a: 1}",
        "NaN": b'{"a": NaN}',
        "Infinity": b'{"a": -Infinity}',
        "hex": b'{"a": 0x10}',
        "plus": b'{"a": +1}',
        "leading zero": b'{"a": 01}',
        "byte order mark": b"\xef\xbb\xbf{}",
        "UTF-16": '{"a": 1}'.encode("utf-16"),
        "UTF-32": '{"a": 1}'.encode("utf-32"),
        "invalid UTF-8": b'{"a": "\xff"}',
        "overlong": b'{"a": "\xc0\xaf"}',
        "half a character": b'{"a": "\xe2\x82"}',
        "surrogate bytes": b'{"a": "\xed\xa0\x80"}',
        "NUL byte": b'{"a": "\x00"}',
        "NUL between": b"{}\x00",
        "raw newline": b'{"a": "\n"}',
        "bad escape": b'{"a": "\\x41"}',
        "deep arrays": nested(DEEP, b"[", b"]"),
        "deep objects": nested(DEEP, b'{"a":', b"}", b"1"),
        "deep and open": b"[" * DEEP,
        "deep and shut": b"]" * DEEP,
        "deep in a member": b'{"metadata": ' + nested(DEEP, b"[", b"]") + b"}",
        "mixed depth": nested(DEEP // 2, b'[{"a":', b"}]", b"1"),
        "text without end": b'["' + b'\\"' * 300_000,
        "brackets in texts": b'{"a": "' + b"[" * 5000 + b'"}',
        "many members": b"{" + b",".join(b'"%d": 1' % each for each in range(20_000)) + b"}",
        "endless digits": b'{"a": ' + b"9" * 100_000 + b"}",
        "endless fraction": b'{"a": 0.' + b"9" * 100_000 + b"}",
        "huge exponent": b'{"a": 1e999999999}',
    }
    for name, body in bodies.items():
        yield HostileBody(name, body, REFUSED)


def _ambiguous(good: Any) -> Iterator[HostileBody]:
    text = json.dumps(good)
    if isinstance(good, dict) and good:
        name = next(iter(good))
        member = json.dumps({name: good[name]})[1:-1]
        escaped = f'"\\u{ord(name[0]):04x}{name[1:]}"' + member[len(json.dumps(name)) :]
        yield HostileBody("member twice", f"{{{member}, {text[1:]}".encode(), REFUSED)
        yield HostileBody("member twice, escaped", f"{{{escaped}, {text[1:]}".encode(), REFUSED)
    yield HostileBody("unknown member", json.dumps({**good, "unknown\u2028": 1}).encode(), REFUSED)
    yield HostileBody("prototype", json.dumps({**good, "__proto__": {"a": 1}}).encode(), REFUSED)
    yield HostileBody("empty member", json.dumps({**good, "": 1}).encode(), REFUSED)


RAW = "\x01RAW\x01"

# What may be all right in a free text, and must never be a 5xx in any.
STRANGE_TEXTS = {
    "quote": "'; DROP TABLE api_clients; --",
    "format": "%s%n{0}${jndi:ldap://x}",
    "script": "<script>alert(1)</script>",
    "right to left": "\u202eabc",
    "combining": "e" + "\u0301" * 100,
    "last character": "\U0010ffff",
    "byte order mark": "\ufeff",
    "newline": "a\nb\r\nc",
    "trailing newline": "EUR\n",
    "delete": "\x7f",
    "empty": "",
    "long": "x" * 100_000,
    "id with newline": "wal_01m7w9tnzcejq9b78b81gh4nmw\n",
    "id too great": "wal_7zzzzzzzzzzzzzzzzzzzzzzzzz",
    "year one": "0001-01-01T00:00:00+14:00",
    "year 9999": "9999-12-31T23:59:59-14:00",
    "first instant": "0001-01-01T00:00:00Z",
    "last instant": "9999-12-31T23:59:59.999999Z",
    "leap second": "2026-06-30T23:59:60Z",
    "offset": "2026-01-01T00:00:00+99:99",
}
RAW_TEXTS = {"escaped NUL": "a\\u0000b", "lone surrogate": "\\ud800", "surrogates reversed": "\\udc00\\ud800"}


def _with_strings(good: Any, path: tuple[Any, ...], name: str) -> Iterator[HostileBody]:
    for kind, text in STRANGE_TEXTS.items():
        body = json.dumps(replaced(good, path, text), ensure_ascii=False).encode("utf-8", "surrogatepass")
        # Which purposes there are is nobody's business, so one that there isn't is one that isn't allowed.
        denied = {403} if name == "purpose" else set[int]()
        yield HostileBody(f"{name}: {kind}", body, ANY_REFUSAL | {200, 201} | denied)
    for kind, text in RAW_TEXTS.items():
        body = json.dumps(replaced(good, path, RAW)).replace(json.dumps(RAW), f'"{text}"').encode()
        yield HostileBody(f"{name}: {kind}", body, REFUSED)
    for kind, value in {"number": 1, "list": [], "object": {}, "true": True}.items():
        yield HostileBody(f"{name}: {kind}", json.dumps(replaced(good, path, value)).encode(), ANY_REFUSAL)


def _with_numbers(good: Any) -> Iterator[HostileBody]:
    for path in numbers_in(good):
        for text in (
            "1.5",
            "1e2",
            "-0",
            "1e400",
            "9223372036854775808",
            "-9223372036854775809",
            "9" * 400,
            '"1"',
            "true",
        ):
            body = json.dumps(replaced(good, path, RAW)).replace(json.dumps(RAW), text).encode()
            yield HostileBody(f"{path[-1]}: {text[:20]}", body, ANY_REFUSAL)


def _of_other_shapes(good: Any) -> Iterator[HostileBody]:
    for name, value in {"null": None, "list": [], "text": "a", "number": 1, "true": True, "list of it": [good]}.items():
        yield HostileBody(f"whole: {name}", json.dumps(value).encode(), REFUSED)
