"""Where card numbers are seen, and what is none."""

import json
import re
import secrets
import time
import uuid
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban

from billfold_server.http import card_numbers

NUMBER = "4242424242424242"


class TestACardNumber:
    """A card number in a text that lies open..."""

    @pytest.mark.parametrize(
        "text",
        [
            NUMBER,
            "4242 4242 4242 4242",
            "4242-4242.4242 4242",
            "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
            f"{NUMBER} 123",
            f"{NUMBER}-123",
            f"12 {NUMBER}",
            "card 4242 4242 4242 4242 12/30",
            f"x{NUMBER}",
            f"{NUMBER}x",
            "4242/4242/4242/4242",
            "4242_4242_4242_4242",
            "4242\u00a04242\u00a04242\u00a04242",
            "4242\u200b4242\u200b4242\u200b4242",
            "4242  4242  4242  4242",
            "\uff14\uff12" * 8,
            "\u0664\u0662" * 8,
            "3782 822463 10005",
        ],
    )
    def test_is_seen(self, text: str) -> None:
        """Neither what stands beside it nor how it is written hides it."""
        assert card_numbers.holds_card_number(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "4242424242424241",
            "424242424242",
            f"{NUMBER}1234",
            "4242   4242   4242   4242",
            "4242 4242 and 4242 4242",
            "1234567890123452",
            "2026-11-20 12:30:45",
            "DE89 3704 0044 0532 0130 00",
            "GB20LOYD30000312345675",
            "GB20 LOYD 3000 0312 3456 75",
            "a1b4242424242424242c2d3",
            "42424242-4242-4242-a1b2-c3d4e5f60718",
        ],
    )
    def test_is_nothing_else(self, text: str) -> None:
        """Numbers of no brand, with a wrong check digit, of another length or far apart are let through."""
        assert not card_numbers.holds_card_number(text)

    @pytest.mark.parametrize("at", ["2026-11-20T23:58:57.936753+00:00", "2026-11-20T08:36:57.936708+00:00"])
    def test_is_no_time(self, at: str) -> None:
        """The digits of a time may be a card's, from the hour on or from the minute on."""
        groups = re.findall("[0-9]+", at.partition("T")[2])
        assert card_numbers._makes_a_number(groups, card_numbers.FEWEST_ANYWHERE)
        assert not card_numbers.holds_card_number(at)
        assert not card_numbers.holds_card_number(f"from {at.replace('T', ' ')} on")
        assert card_numbers.holds_card_number(at.partition("T")[2]), "half of one is none"
        assert card_numbers.holds_card_number(f"{at} {NUMBER}"), "and hides nothing that stands beside it"

    @given(st.datetimes(), st.integers(-1439, 1439), st.sampled_from("T "))
    def test_is_no_time_whenever(self, at: datetime, offset_min: int, between: str) -> None:
        """Whatever the day, the hour and the offset, and with none."""
        aware = at.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
        assert not card_numbers.holds_card_number(aware.isoformat(between))
        assert not card_numbers.holds_card_number(at.isoformat(between))

    @pytest.mark.parametrize("form", ["%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d", "%d-%m-%Y"])
    def test_is_no_span_of_days(self, form: str) -> None:
        """A reference names the week that is paid for, in whatever country; a number beside it isn't hidden."""
        days = [date(2026, 1, 1) + timedelta(days=each) for each in range(730)]
        spans = [
            f"{day:{form}}{between}{day + timedelta(days=7):{form}}" for day in days for between in ("-", " - ", " ")
        ]
        assert not [each for each in spans if card_numbers.holds_card_number(each)]
        assert card_numbers.holds_card_number(f"{spans[0]} {NUMBER}")
        assert card_numbers.holds_card_number(f"{NUMBER}-{spans[0]}")

    def test_is_no_account_of_a_bank(self) -> None:
        """An IBAN may hold a bank's and an account's number that together look like a card's."""
        assert iban.is_valid("GB20LOYD30000312345675", check_country=False)
        assert card_numbers.holds_card_number("30000312345675")
        assert card_numbers.holds_card_number("GB21LOYD30000312345675"), "this is none"

    def test_is_nothing_that_programs_make_up(self) -> None:
        """Of random ids none is refused, however many there are."""
        made = [text for _ in range(20_000) for text in (str(uuid.uuid4()), secrets.token_hex(16))]
        assert not [each for each in made if card_numbers.holds_card_number(each)]

    @pytest.mark.parametrize("text", ["cb378282246310005f9b", "a36700102000000b", "42424242424242424b42"])
    def test_is_no_random_bytes(self, text: str) -> None:
        """Hexadecimal digits may have a number between two letters, once in fifty thousand keys of twelve bytes."""
        assert not card_numbers.holds_card_number(text)

    @pytest.mark.parametrize("text", ["cc4242424242424242", "a378282246310005", "378282246310005f"])
    def test_is_behind_letters_that_are_digits_too(self, text: str) -> None:
        """A word before a number doesn't make random bytes of it."""
        assert card_numbers.holds_card_number(text)


class TestALookInAMicrosecond:
    """The look in a microsecond that most texts pass..."""

    @given(st.text(alphabet='0123456789-_. {}:"aZx', max_size=80))
    def test_overlooks_nothing(self, text: str) -> None:
        """What the slower look would stop at isn't passed, whatever stands between the digits."""
        if card_numbers._MAYBE.search(text) is not None:
            assert card_numbers._has_digits(text.encode())

    def test_is_not_long_for_what_is_made_to_be_looked_at(self) -> None:
        """A body of digits in ones, each of which may begin a number, is refused and not looked through."""
        began = time.process_time()
        items = [{"metadata": {f"k{number}": " ".join("4" * 250) for number in range(50)}} for _ in range(40)]
        assert card_numbers.place_in_json(json.dumps(items).encode()) is not None
        assert time.process_time() - began < 2


_NUMBERS = [NUMBER, f"my {NUMBER}", "4242 4242-4242 4242", "30569309025904", "\uff14\uff12" * 8, f'"\\{NUMBER}']
_TEXTS = st.one_of(
    st.sampled_from(_NUMBERS),
    st.text(alphabet="0123456789abc -.\u0664\u00fc", max_size=30),
    st.uuids().map(lambda made: made.hex),
)
_NAMES = st.one_of(st.sampled_from(["identification", "reason", "Card No."]), _TEXTS)
_VALUES = st.recursive(
    st.one_of(_TEXTS, st.integers(-(10**17), 10**17), st.floats(allow_nan=False, allow_infinity=False), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_NAMES, inner, max_size=4)),
    max_leaves=12,
)


class TestALookAtAllTextsAtOnce:
    """The look at all texts of a body at once, which spares most lists the look at each member..."""

    @given(_VALUES, st.booleans())
    def test_overlooks_nothing(self, value: Any, ensure_ascii: bool) -> None:  # noqa: FBT001 - drawn
        """Whatever a body holds and however it is written, what is found is what is found member by member."""
        body = json.dumps(value, ensure_ascii=ensure_ascii).encode()
        patience = card_numbers._Patience(card_numbers._MOST_IN_A_BODY)
        found = card_numbers._place_of(json.loads(body), "body", "", patience) if card_numbers._may_hold(body) else None
        assert card_numbers.place_in_json(body) == found

    def test_is_enough_for_keys_made_by_chance(self) -> None:
        """Of a hundred items some have a key with thirteen digits in a row, and none a card's number."""
        key = "1234567890123af4567890123456789b"
        body = json.dumps([{"idempotency_key": key, "amount": {"amount_minor": 1250}}] * 100).encode()
        assert card_numbers._may_hold(body)
        assert card_numbers._holds_none(body)


class TestAMask:
    """A mask..."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            (NUMBER, "************4242"),
            ("Card 4242 4242 4242 4242, please", "Card **** **** **** 4242, please"),
            (f"{NUMBER} 12/30", "**************** 12/30"),
            ("Invoice 4711", "Invoice 4711"),
            ("", ""),
        ],
    )
    def test_leaves_four_digits(self, text: str, shown: str) -> None:
        """The last four of the text; what holds no card's number stays as it is."""
        assert card_numbers.masked(text) == shown


class TestARequest:
    """A card's number in a request..."""

    @pytest.mark.parametrize(
        ("body", "place"),
        [
            ({"label": NUMBER}, "label"),
            ({"label": f"my card {NUMBER}, please"}, "label"),
            ({"metadata": {"note": "4242 4242 4242 4242"}}, "metadata.note"),
            ({"metadata": {NUMBER: "x"}}, "metadata"),
            ({"metadata": {"Card No.": NUMBER}}, "metadata"),
            ({"items": [{"reason": "x"}, {"reason": NUMBER}]}, "items[1].reason"),
            ({"amount": {"amount_minor": 378282246310005}}, "amount.amount_minor"),
            ([NUMBER], "body[0]"),
            (NUMBER, "body"),
            ({"label": "\uff14\uff12" * 8}, "label"),
            ({"creditor": {"identification": NUMBER}}, "creditor.identification"),
            ({"label": "30569309025904"}, "label"),
        ],
    )
    def test_is_blamed_by_its_place(self, body: Any, place: str) -> None:
        """The member is named, unless its name is the caller's own; escapes and other scripts hide nothing."""
        for text in (
            json.dumps(body),
            json.dumps(body, ensure_ascii=False),
            escaped(json.dumps(body, ensure_ascii=False)),
        ):
            assert card_numbers.place_in_json(text.encode()) == place

    @pytest.mark.parametrize(
        "body",
        [
            {"creditor": {"scheme": "sort_code_account_number", "identification": "30569309025904"}},
            {"amount": {"amount_minor": 30569309025904}},
            {"phone": "+49 176 12345670"},
            {"iban": "GB20LOYD30000312345675"},
            {"ids": list(range(20))},
            {"at": "2026-11-20T12:30:45.123456Z", "until": "2026-11-21 12:30:45"},
            {"name": "Zoë", "note": "\u0001"},
        ],
    )
    def test_is_none_where_something_else_looks_like_it(self, body: Any) -> None:
        """Accounts of banks, amounts, telephone numbers and times."""
        assert card_numbers.place_in_json(json.dumps(body).encode()) is None

    @pytest.mark.parametrize(
        "query",
        [f"q={NUMBER}", "q=4242+4242+4242+4242", "q=4242%204242%204242%204242", "q=%34242424242424242", f"{NUMBER}=x"],
    )
    def test_is_seen_in_a_query(self, query: str) -> None:
        """As it is, with spaces, escaped, and as a name."""
        assert card_numbers.stands_in(query.encode())
        assert not card_numbers.stands_in(query.replace("2", "3").encode())

    def test_costs_next_to_nothing_where_there_is_none(self) -> None:
        """What most bodies are is looked through in some microseconds, and a megabyte in less than a second."""
        body = json.dumps(
            {"from_wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmw", "amount": {"amount_minor": 1250}}
        ).encode()
        began = time.process_time()
        for _ in range(10_000):
            card_numbers.place_in_json(body)
        assert (time.process_time() - began) / 10_000 < 100e-6
        for hostile, found in (
            (b'"' + b"4 " * 400_000 + b'"', "body"),
            (json.dumps(["\u0664" * 100_000]).encode(), None),
            (b"[" + b"4," * 400_000 + b"4]", None),
            (b'"' + b"a1" * 400_000 + b" 4242424242424241" + b'"', None),
            (b'"' + b"GB20 " * 200_000 + b" 4242424242424241" + b'"', None),
        ):
            began = time.process_time()
            assert card_numbers.place_in_json(hostile) == found
            assert time.process_time() - began < 3


def escaped(text: str) -> str:
    """Return JSON in which digits within strings are written by their numbers."""
    parts = text.split('"')
    inside = [each if place % 2 == 0 else "".join(f"\\u{ord(c):04x}" if c.isdigit() else c for c in each)
              for place, each in enumerate(parts)]  # fmt: skip
    return '"'.join(inside)
