"""Arguments become what goes over the wire (billfold.client._encoding)."""

import json
import urllib.parse
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from billfold import Money, credit, debit, order
from billfold.client import _encoding as encoding
from billfold.contract.ledger import NewPosting
from billfold.money import AmountError, SignedMoney


class TestMoney:
    @pytest.mark.parametrize(
        "amount", [Money(1250, "EUR"), ("12.50", "EUR"), ("12.5", "EUR"), (Decimal("12.500"), "EUR")], ids=repr
    )
    def test_may_be_said_in_three_ways(self, amount: encoding.Amount):
        """Minor units, decimal text and Decimal are the same money."""
        assert encoding.money(amount) == Money(1250, "EUR")

    @pytest.mark.parametrize("amount", [(12.5, "EUR"), (12, "EUR"), "12.50 EUR", 12.5, None, ("12.50",)], ids=repr)
    def test_is_never_a_float(self, amount: Any):
        """What could mean either unit, or isn't a number and a currency, is refused with what it should be."""
        with pytest.raises(TypeError, match=r'Money\(1250, "EUR"\) or \("12.50", "EUR"\)'):
            encoding.money(amount)

    @pytest.mark.parametrize("amount_minor", [12.5, True, "1250", None], ids=repr)
    def test_is_made_of_whole_minor_units(self, amount_minor: Any):
        """Whoever makes it of anything else is told at once, where it happens."""
        with pytest.raises(TypeError, match="whole number of minor units"):
            Money(amount_minor, "EUR")

    def test_is_written_as_a_text_is(self):
        """It stands in columns of a table as any text does, with or without a sign."""
        assert f"{Money(1250, 'JPY'):>10}|{SignedMoney(-1250, 'KWD'):<11}|{Money(5, 'EUR')}" == (
            "  1250 JPY|-1.250 KWD |0.05 EUR"
        )

    @pytest.mark.parametrize("number", ["1e3", " 12", "1_000", "\u0661\u0662", "\uff11\uff12", "1.2.3", ".", "NaN", ""])
    def test_has_plain_digits(self, number: str):
        """What Decimal would take and people don't write is refused."""
        with pytest.raises(AmountError) as caught:
            encoding.money((number, "EUR"))
        assert caught.value.reason == "malformed"

    @pytest.mark.parametrize(
        ("amount", "reason"),
        [
            (("12.505", "EUR"), "excess_precision"),
            (("1.5", "JPY"), "excess_precision"),
            (("1", "XXX"), "unknown_currency"),
        ],
    )
    def test_is_never_rounded(self, amount: encoding.Amount, reason: str):
        """More digits than the currency has are refused."""
        with pytest.raises(AmountError) as caught:
            encoding.money(amount)
        assert caught.value.reason == reason

    def test_is_debited_and_credited(self):
        """A debit is positive, a credit negative."""
        assert debit("acc_1", ("1", "EUR")) == NewPosting(account_id="acc_1", amount_minor=100, currency="EUR")
        assert credit("acc_1", ("1", "EUR")) == NewPosting(account_id="acc_1", amount_minor=-100, currency="EUR")


class TestAnOrder:
    def test_has_a_key_of_its_own(self):
        """One is made where none is given, in the order of time, and it is part of what is sent."""
        orders = [order(from_wallet_id="wal_1", to_wallet_id="wal_2", amount=("1", "EUR")) for _ in range(2)]
        assert orders[0].idempotency_key < orders[1].idempotency_key
        sent = json.loads(encoding.fields(mode="each", transfers=orders))
        assert sent["transfers"][0] == {
            "from_wallet_id": "wal_1",
            "to_wallet_id": "wal_2",
            "amount": {"amount_minor": 100, "currency": "EUR"},
            "idempotency_key": orders[0].idempotency_key,
        }

    def test_says_what_a_single_transfer_says(self):
        """Text, time and the caller's own keys and values go along; the time in UTC."""
        at = datetime(2026, 11, 20, 13, tzinfo=timezone(timedelta(hours=1)))
        made = order(
            from_wallet_id="wal_1",
            to_wallet_id="wal_2",
            amount=Money(100, "EUR"),
            description="Lunch",
            effective_at=at,
            metadata={"a": "b"},
            idempotency_key="order-1",
        )
        (sent,) = json.loads(encoding.fields(transfers=[made]))["transfers"]
        assert (sent["description"], sent["effective_at"], sent["metadata"], sent["idempotency_key"]) == (
            "Lunch",
            "2026-11-20T12:00:00Z",
            {"a": "b"},
            "order-1",
        )

    def test_refuses_what_a_single_transfer_refuses(self):
        """A key of another form, and an amount that is a fraction, are refused where they are written."""
        for wrong in ("a b", ""):
            with pytest.raises(ValueError, match="visible ASCII"):
                order(from_wallet_id="wal_1", to_wallet_id="wal_2", amount=Money(1, "EUR"), idempotency_key=wrong)
        with pytest.raises(TypeError):
            order(from_wallet_id="wal_1", to_wallet_id="wal_2", amount=(1.5, "EUR"))  # type: ignore[arg-type]


class TestABody:
    def test_leaves_out_what_is_not_given(self):
        """None in an order is absence, so that an older server isn't told of fields it doesn't know."""
        assert msgspec.json.decode(encoding.fields(a=1, b=None, c="")) == {"a": 1, "c": ""}

    def test_of_a_change_clears_with_none(self):
        """None in a change clears, UNSET stays."""
        assert msgspec.json.decode(encoding.changes(a=None, b=UNSET)) == {"a": None}

    def test_says_instants_in_utc(self):
        """An instant of another zone is the same instant."""
        at = datetime(2026, 11, 20, 13, 0, tzinfo=timezone(timedelta(hours=1)))
        assert encoding.fields(at=at) == b'{"at":"2026-11-20T12:00:00Z"}'

    def test_refuses_instants_without_a_zone(self):
        """Nobody can say when a naive instant is."""
        with pytest.raises(ValueError, match="offset"):
            encoding.fields(at=datetime(2026, 11, 20, 13, 0))  # noqa: DTZ001


class TestAQuery:
    def test_leaves_out_what_is_not_given(self):
        """None is absence, and a name that Python reserves loses its underscore."""
        at = datetime(2026, 11, 20, 12, 0, 0, 5, tzinfo=UTC)
        assert encoding.query(a=None, from_=at, limit=5) == {"from": "2026-11-20T12:00:00.000005Z", "limit": "5"}


class TestASegmentOfAPath:
    @given(st.text(min_size=1).filter(lambda text: text.strip(".")))
    def test_stays_one_segment(self, value):
        """Whatever an id holds, it doesn't lead to another resource, and it arrives as it is."""
        try:
            quoted = encoding.segment(value)
        except UnicodeEncodeError:
            return  # Half a surrogate pair is no text.
        assert not set(quoted) & set("/?#\\ ")
        assert urllib.parse.unquote(quoted) == value

    @pytest.mark.parametrize("value", ["", ".", ".."])
    def test_is_never_empty_or_a_step(self, value: str):
        """An empty id would be the list, two dots the parent."""
        with pytest.raises(ValueError, match="empty"):
            encoding.segment(value)

    @pytest.mark.parametrize("value", [None, 5, b"par_1", Money(1, "EUR")], ids=repr)
    def test_is_made_of_a_text(self, value: Any):
        """Whoever gives a whole object in place of its id, or none, is told what an id is, and what was given."""
        with pytest.raises(TypeError, match=rf"an id is a text, .* not of type {type(value).__name__}$"):
            encoding.segment(value)


class TestAnIdempotencyKey:
    @pytest.mark.parametrize("value", ["", "a b", "ä", "a\r\nX-Evil: 1", "k" * 256, '"k"', '"'])
    def test_is_visible_ascii(self, value: str):
        """What can't go into a header, or is another key there, is refused before anything is sent."""
        with pytest.raises(ValueError, match="idempotency key"):
            encoding.key(value)

    @pytest.mark.parametrize("value", [4711, UUID(int=4711)], ids=repr)
    def test_is_a_text(self, value: Any):
        """A number or a UUID is refused in a sentence; how it is written is the caller's to say."""
        with pytest.raises(TypeError, match=rf"idempotency key is a text, .* not of type {type(value).__name__}$"):
            encoding.key(value)


class TestAnEntityTag:
    def test_is_made_of_a_version(self):
        """A version is quoted, a tag is taken as it is."""
        assert (encoding.etag(3), encoding.etag('"3"'), encoding.etag("*")) == ('"3"', '"3"', "*")
