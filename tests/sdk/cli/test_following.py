"""Events are followed without a gap, and delivered to a receiver that verifies them."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from billfold import Billfold, Hooks, Response, errors, webhooks
from billfold.cli.calling import Answers
from billfold.cli.following import follow
from tests.sdk.cli.answering import Answering, answering, give
from tests.sdk.recording import CREDENTIALS, Answer, Recording, ok

AWAY = (429, 502, 503)
SECRET = "whsec_c2VjcmV0IG9mIHRoaXMgdGVzdA=="


def event(number: int, type_: str = "transfer.posted") -> dict[str, Any]:
    """Return an event as the server writes it."""
    known = {"id": f"evt_{number}", "sequence": number, "type": type_, "object_id": f"trf_{number}", "version": 1}
    return {**known, "data": {"ä": 1}, "occurred_at": "2026-11-20T12:00:00Z"}


def page(*events: dict[str, Any]) -> Response:
    """Return a page of events."""
    return ok(json.dumps({"data": events, "next_cursor": None}).encode())


def following(*answers: Answer, **options: Any) -> tuple[Iterator[int], Recording, list[Any]]:
    """Follow events by a transport that answers so; return their numbers, the transport, and waits and sentences."""
    noted: list[Any] = []
    said = Answers()
    transport = Recording(answers)
    hooks = Hooks(on_response=said.note)
    client = Billfold(**CREDENTIALS, transport=transport, hooks=hooks, max_retries=0)
    events = follow(client, said, after=0, tell=noted.append, wait=noted.append, **options)
    return (each.sequence for each in events), transport, noted


class TestFollowing:
    def test_goes_on_behind_the_last_event(self):
        """At the end it waits, and asks for what came since."""
        numbers, transport, noted = following(page(event(1), event(2)), page(), page(event(3)))
        assert list(islice(numbers, 3)) == [1, 2, 3]
        assert [url.partition("?")[2] for _, url, *_ in transport.requests] == [
            "after=0&limit=100",
            "after=2&limit=100",
            "after=2&limit=100",
        ]
        assert noted == [1.0, 1.0]

    @pytest.mark.parametrize("away", [errors.ConnectionFailed("gone"), *(Response(status, {}, b"") for status in AWAY)])
    def test_survives_a_server_that_is_away(self, away: Answer):
        """It says so once, asks again ever more patiently, and leaves nothing out."""
        numbers, transport, noted = following(page(event(1)), *[away] * 6, page(event(2)))
        assert list(islice(numbers, 2)) == [1, 2]
        assert noted[1] == "The server doesn't answer; asking again until it does."
        assert noted[2:8] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
        assert noted[8] == "The server is back."
        assert {url.partition("?")[2] for _, url, *_ in transport.requests[1:]} == {"after=1&limit=100"}

    def test_ends_where_waiting_mends_nothing(self):
        """A client that may not read events is told so."""
        numbers, *_ = following(Response(403, {}, b""))
        with pytest.raises(errors.PermissionDenied):
            next(numbers)

    @pytest.mark.parametrize(
        ("wanted", "numbers", "query"),
        [
            (("wallet.created",), [2], "after=0&limit=100&type=wallet.created"),
            (("wallet.*",), [2, 3], "after=0&limit=100"),
            (("*",), [1, 2, 3], "after=0&limit=100"),
            (("transfer.posted", "wallet.frozen"), [1, 3], "after=0&limit=100"),
        ],
    )
    def test_passes_over_what_isnt_wanted(self, wanted: tuple[str, ...], numbers: list[int], query: str):
        """One type is the server's work; several, and whole families, are looked through here."""
        types = ["transfer.posted", "wallet.created", "wallet.frozen"]
        events = [event(number, type_) for number, type_ in enumerate(types, 1)]
        if len(numbers) == 1:
            events = [events[1]]
        found, transport, _ = following(page(*events), wanted=wanted)
        assert list(islice(found, len(numbers))) == numbers
        asked = dict(each.split("=") for each in transport.requests[0][1].partition("?")[2].split("&"))
        assert asked == dict(each.split("=") for each in query.split("&"))


class TestTail:
    def test_prints_a_line_for_each(self, server: Answering):
        """People read when, what and to whom within 80 columns; programs read the event as the server wrote it."""
        server.say({"data": [event(1, "wallet.frozen")], "next_cursor": None})
        (line,) = give(server, "events", "tail", "--after=0", "--count=1").stdout.splitlines()
        assert line.split() == ["1", "12:00:00Z", "wallet.frozen", "trf_1"]
        assert len(line.replace("trf_1", "x" * 30)) <= 80
        (text,) = give(server, "events", "tail", "--after=0", "--count=1", "--json").stdout.splitlines()
        assert json.loads(text) == event(1, "wallet.frozen")

    def test_says_so_where_no_event_is_of_such_a_type(self, server: Answering):
        """Whoever has misspelt a type is told at once; it is followed all the same, as a newer server may have it."""
        server.say({"data": [event(1, "wallet.frosen")], "next_cursor": None})
        done = give(server, "events", "tail", "--after=0", "--count=1", "--type=wallet.frosen", "--type=wallet.*")
        warnings = [line for line in done.stderr.splitlines() if "wallet.froz" in line]
        assert len(warnings) == 1, done.stderr
        assert "wallet.frosen" in warnings[0]
        assert "wallet.frosen" in done.stdout


@pytest.fixture
def receiver() -> Iterator[Answering]:
    """A receiver of webhooks."""
    with answering() as receiver:
        yield receiver


class TestListening:
    def test_delivers_what_the_receiver_verifies(self, server: Answering, receiver: Answering):
        """Each event arrives in order, signed by the secret that was given, as the server wrote it."""
        server.say({"data": [event(1), event(2)], "next_cursor": None})
        receiver.say((204, b""), (500, b""))
        forward = ["webhooks", "listen", "--forward-to", receiver.url, "--after=0", "--count=2", "--json"]
        done = give(server, *forward, "--secret-variable=MINE", MINE=SECRET)
        assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == [204, 500], done.output
        assert SECRET not in done.output
        verified = [webhooks.verify(body or b"", headers, SECRET) for _, _, headers, body in receiver.requests]
        assert [each.sequence for each in verified] == [1, 2]

    def test_makes_a_secret_where_none_is_given(self, server: Answering, receiver: Answering):
        """It is shown once, before anything is delivered."""
        server.say({"data": [event(1)], "next_cursor": None})
        receiver.say((204, b""))
        done = give(server, "webhooks", "listen", "--forward-to", receiver.url, "--after=0", "--count=1")
        secret = done.stdout.splitlines()[0].removeprefix("Verify by this secret: ")
        _, _, headers, body = receiver.requests[0]
        assert webhooks.verify(body or b"", headers, secret).id == "evt_1"

    @pytest.mark.parametrize(
        ("arguments", "exit_code"),
        [(("--secret-variable=NONE",), 78), (("--secret-variable=BAD",), 78), (("--forward-to=file:///x",), 2)],
    )
    def test_refuses_what_cant_work(
        self, server: Answering, receiver: Answering, arguments: tuple[str, ...], exit_code: int
    ):
        """A secret that isn't there or isn't one, and an address that isn't one of HTTP."""
        server.say({"data": [event(1)], "next_cursor": None})
        forward = ["webhooks", "listen", "--forward-to", receiver.url, "--after=0", "--count=1"]
        assert give(server, *forward, *arguments, BAD="secret").exit_code == exit_code
        assert receiver.requests == []
