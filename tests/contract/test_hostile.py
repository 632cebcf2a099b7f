"""Hostile bodies, parameters and headers: each is refused as it should be, and none makes the server fail."""

import contextlib
import http.client
import itertools
import json
import secrets
import socket
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import httpx
import pytest

from tests.contract.conftest import COUNTS, TENANT
from tests.contract.documents import Operation, judging, operations, read_document
from tests.contract.hostile import hostile_bodies
from tests.contract.seeds import FRESH, Seeds
from tests.live import LiveServer

WITH_BODY = [each for each in operations(read_document()) if each.media_type is not None]
EVERY = list(operations(read_document()))


class Sender:
    """Sends bytes as they are, which a well-meaning client would mend or refuse."""

    def __init__(self, live: LiveServer, tokens: dict[bool, str], seeds: Seeds) -> None:
        self._live = live
        self._tokens = tokens
        self._seeds = seeds

    def address(self, operation: Operation) -> str:
        """Return an operation's path, with parameters that name something."""
        path = operation.path if operation.at_deployment else f"/t/{TENANT}{operation.path}"
        for parameter in operation.definition.get("parameters", []):
            if parameter["in"] == "path":
                # What is deleted isn't what others need.
                make = FRESH.get(operation.operation_id) if operation.method == "DELETE" else None
                fresh = {} if make is None else make(self._seeds)
                value = fresh.get(parameter["name"]) or self._seeds.real(parameter.get("example", "nobody"))
                path = path.replace(f"{{{parameter['name']}}}", value)
        return path

    def send(self, operation: Operation, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Send a request, and return the answer's status and body."""
        platform = operation.at_deployment
        common = {"Authorization": f"Bearer {self._tokens[platform]}", "Idempotency-Key": secrets.token_hex(16)}
        if not operation.needs_token:
            common = {}
        connection = http.client.HTTPConnection(urlsplit(self._live.url).netloc, timeout=30)
        with contextlib.closing(connection):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                # A body that is much too large isn't taken in to its end; the answer is there all the same. Which of
                # the two it is depends on how much of the body is on its way when the connection ends.
                connection.request(operation.method, self.address(operation), body, {**common, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.fixture(scope="module")
def sender(live: LiveServer, client: httpx.Client, operator: httpx.Client, seeds: Seeds) -> Sender:
    """Return a sender that is authenticated everywhere."""
    tokens = {False: client.headers["Authorization"][7:], True: operator.headers["Authorization"][7:]}
    return Sender(live, tokens, seeds)


class TestAHostileBody:
    @pytest.mark.parametrize("operation", WITH_BODY, ids=lambda each: each.operation_id)
    def test_is_refused_in_words(self, operation: Operation, sender: Sender, live: LiveServer) -> None:
        """Each is answered with a documented refusal in the documented form, and the server goes on."""
        settings = live.settings
        upload = operation.media_type == "application/octet-stream"
        limit = settings.upload_limit_bytes if upload else settings.body_limit_bytes
        wrong = []
        for hostile in hostile_bodies(operation, limit):
            kind = str(operation.media_type) if hostile.content_type is None else hostile.content_type
            headers = {"Content-Type": kind} if kind else {}
            status, answer = sender.send(operation, hostile.body, headers)
            COUNTS["hostile bodies refused as documented"] += 1
            if status not in hostile.statuses or status not in operation.statuses:
                wrong.append((hostile.name, hostile.body[:80], status, answer[:200]))
            elif status >= 400 and operation.needs_token:
                assert json.loads(answer)["status"] == status
        assert wrong == []

    def test_is_counted_while_it_comes_in(self, live: LiveServer, sender: Sender) -> None:
        """A chunked body has no announced length; it is refused when it has become too large, not when it ends."""
        operation = next(each for each in WITH_BODY if each.operation_id == "createParty")
        address = urlsplit(live.url)
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            head = (
                f"POST {sender.address(operation)} HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {sender._tokens[False]}\r\n"
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            connection.sendall(head.encode())
            chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
            for _ in range(live.settings.body_limit_bytes // 0x10000 + 1):
                connection.sendall(chunk)
            # The body never ends, and yet there is an answer.
            assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


class TestAHostileParameter:
    @pytest.mark.parametrize("operation", EVERY, ids=lambda each: each.operation_id)
    def test_is_refused_in_words(self, operation: Operation, sender: Sender, live: LiveServer) -> None:
        """Strange spellings of each parameter are 400, also where ``int()`` or a date parser would take them."""
        token = sender._tokens[operation.at_deployment]
        headers = {"Authorization": f"Bearer {token}"} if operation.needs_token else {}
        base = sender.address(operation)
        wrong = []
        queries = [each for each in operation.definition.get("parameters", []) if each["in"] == "query"]
        with contextlib.closing(http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=30)) as connection:
            for parameter, text in itertools.product(queries, STRANGE_SPELLINGS):
                connection.request(operation.method, f"{base}?{parameter['name']}={text}", headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                allowed = set(operation.statuses) if is_of_form(parameter["schema"], text) else {400, 404}
                if answer.status not in allowed:
                    wrong.append((parameter["name"], text, answer.status, body[:200]))
        assert wrong == []


def is_of_form(schema: dict[str, Any], text: str) -> bool:
    """Tell whether a parameter's text is of the documented form."""
    try:
        value = unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        return False
    if "\x00" in value or text == "%" or schema.get("type") in {"integer", "boolean"}:
        return False
    return bool(judging(schema).is_valid(value))


STRANGE_SPELLINGS = [
    "",
    "%20",
    "%201%20",
    "1_0",
    "%D9%A1",
    "%2B1",
    "+1",
    "-1",
    "1.0",
    "1e1",
    "0x1",
    "01",
    "9" * 400,
    "9223372036854775808",
    "%00",
    "a%00b",
    "%ff",
    "%ed%a0%80",
    "%",
    "true%0a",
    "null",
    "NaN",
    "[]",
    "2026-13-01T00:00:00Z",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "wal_01m7w9tnzcejq9b78b81gh4nmw%0a",
    "wal_8zzzzzzzzzzzzzzzzzzzzzzzzz",
    "'%20OR%201=1--",
    "%F0%9F%92%B8",
    "x" * 5000,
]


class TestAHostileHeader:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Idempotency-Key", ""),
            ("Idempotency-Key", "x" * 256),
            ("Idempotency-Key", "a\x80b"),
            ("Idempotency-Key", 'a"b" c'),
            ("Idempotency-Key", '"unclosed'),
            ("Idempotency-Key", "a, b"),
        ],
    )
    def test_of_a_post_is_refused(self, sender: Sender, name: str, value: str) -> None:
        """A key that isn't visible ASCII of a sane length is 400 and names the header."""
        operation = next(each for each in WITH_BODY if each.operation_id == "createParty")
        headers = {"Content-Type": "application/json", name: value}
        status, answer = sender.send(operation, b'{"kind": "person", "name": "x"}', headers)
        assert (status, json.loads(answer)["param"]) == (400, name)

    @pytest.mark.parametrize("value", ["1", '"1', 'W/"1" x', "*,*", "\xff", '"1" "2"', ""])
    def test_of_a_patch_is_refused(self, sender: Sender, value: str) -> None:
        """An If-Match that is no list of entity tags is 400 and names the header."""
        operation = next(each for each in WITH_BODY if each.operation_id == "updateParty")
        headers = {"Content-Type": "application/json", "If-Match": value}
        status, answer = sender.send(operation, b"{}", headers)
        assert (status, json.loads(answer)["param"]) == (400, "If-Match")

    def test_that_compresses_the_body_is_refused(self, sender: Sender) -> None:
        """Nothing is unpacked, so that a small body can't become a large one."""
        operation = next(each for each in WITH_BODY if each.operation_id == "createParty")
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        assert sender.send(operation, b"\x1f\x8b", headers)[0] == 415
