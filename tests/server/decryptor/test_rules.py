"""What a card, an account and a key for encrypting must be like."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from billfold_server.decryptor import rules
from billfold_server.decryptor.brands import brand_of
from billfold_server.decryptor.rules import Account, Card, KeyTimes
from tests.cards import CARDS, numbered

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def card(**changes: Any) -> Card:
    """Return a card that is good, but for the changes."""
    facts: dict[str, Any] = {
        "number": CARDS["visa"],
        "expiry_month": 12,
        "expiry_year": 2030,
        "holder": "Ada Lovelace",
        "cvc": "123",
    }
    return Card(**{**facts, **changes})


class TestACardIsTaken:
    @pytest.mark.parametrize("brand", CARDS)
    def test_of_each_brand(self, brand):
        """Every brand that we know has a number that is taken, and is told from its first digits."""
        taken = card(number=CARDS[brand], cvc="1234" if brand == "amex" else "123")
        assert rules.check_card(taken, NOW) is None
        assert rules.card_masked(taken)["brand"] == brand

    @pytest.mark.parametrize(
        "name", ["Ada Lovelace", "Søren Å. O\u2019Brien-Łukasz", "李小龍", "3M Company / Ltd.", "É"]
    )
    def test_whatever_its_holder_is_called(self, name):
        """Names have letters of any script, and what goes between them."""
        assert rules.check_card(card(holder=name), NOW) is None

    def test_without_holder_and_code(self):
        """Number and expiry are enough."""
        assert rules.check_card(card(holder=None, cvc=None), NOW) is None

    def test_until_the_last_day_of_its_month_anywhere(self):
        """A card of November is good on its last day, even where that isn't over when it is December in Greenwich."""
        expiring = card(expiry_month=11, expiry_year=2026)
        assert rules.check_card(expiring, datetime(2026, 12, 1, 11, 59, tzinfo=UTC)) is None
        assert rules.check_card(expiring, datetime(2026, 12, 1, 12, 1, tzinfo=UTC)) == "card_expired"


class TestACardIsRefused:
    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"number": "4111111111111112"}, "card_number_invalid"),
            ({"number": "411111111111111"}, "card_number_invalid"),
            ({"number": "4111 1111 1111 1111"}, "card_number_invalid"),
            ({"number": "٤١١١١١١١١١١١١١١١"}, "card_number_invalid"),
            ({"number": ""}, "card_number_invalid"),
            ({"number": numbered("4", 15)}, "card_number_invalid"),
            ({"number": numbered("0000", 16)}, "card_brand_unknown"),
            ({"number": numbered("1234", 16)}, "card_brand_unknown"),
            ({"expiry_month": 0}, "card_expiry_invalid"),
            ({"expiry_month": 13}, "card_expiry_invalid"),
            ({"expiry_year": 27}, "card_expiry_invalid"),
            ({"expiry_year": 2047}, "card_expiry_invalid"),
            ({"expiry_month": 10, "expiry_year": 2026}, "card_expired"),
            ({"expiry_year": 2025}, "card_expired"),
            ({"holder": ""}, "card_holder_invalid"),
            ({"holder": " Ada"}, "card_holder_invalid"),
            ({"holder": "A" * 65}, "card_holder_invalid"),
            ({"holder": "Ada\nLovelace"}, "card_holder_invalid"),
            ({"holder": "<b>Ada</b>"}, "card_holder_invalid"),
            ({"holder": "Ada 4111111111111111"}, "card_holder_invalid"),
            ({"holder": "..."}, "card_holder_invalid"),
            ({"cvc": "12"}, "card_cvc_invalid"),
            ({"cvc": "1234"}, "card_cvc_invalid"),
            ({"cvc": "12a"}, "card_cvc_invalid"),
            ({"cvc": "١٢٣"}, "card_cvc_invalid"),
            ({"number": CARDS["amex"], "cvc": "123"}, "card_cvc_invalid"),
        ],
    )
    def test_with_one_code_for_each_reason(self, changes, code):
        """The code says which field is wrong."""
        assert rules.check_card(card(**changes), NOW) == code

    @given(st.text(max_size=40))
    def test_whatever_its_number_is(self, text):
        """A text that is no number of a card is refused by code, and never fails otherwise."""
        refusal = rules.check_number(text)
        assert refusal in {"card_number_invalid", "card_brand_unknown"} or (luhn.is_valid(text) and brand_of(text))


class TestAMask:
    @pytest.mark.parametrize(("brand", "shown"), [("visa", 8), ("mastercard", 8), ("amex", 6), ("diners", 6)])
    def test_shows_no_more_of_a_number_than_may_be_seen(self, brand, shown):
        """Eight first digits of sixteen, six of fewer, and the last four."""
        number = CARDS[brand]
        masked = rules.card_masked(card(number=number, cvc=None))
        assert masked == {
            "brand": brand,
            "bin": number[:shown],
            "last4": number[-4:],
            "expiry_month": 12,
            "expiry_year": 2030,
        }

    def test_of_an_account_is_country_and_last_four(self):
        """Nothing else of an account is shown."""
        assert rules.account_masked(Account(iban="DE89370400440532013000")) == {"country": "DE", "last4": "3000"}
        british = Account(sort_code="200000", account_number="55779911")
        assert rules.account_masked(british) == {"country": "GB", "last4": "9911"}


class TestAnAccount:
    @pytest.mark.parametrize(
        "account",
        [
            Account(iban="de89 3704 0044 0532 0130 00"),
            Account(iban="GB82WEST12345698765432", holder="Ada"),
            Account(sort_code="20-00-00", account_number="55779911"),
        ],
    )
    def test_is_taken_however_it_is_written(self, account):
        """Blanks, hyphens and small letters don't count."""
        assert rules.check_account(rules.normal_account(account)) is None

    @pytest.mark.parametrize(
        "account",
        [
            Account(),
            Account(iban="DE89370400440532013001"),
            Account(iban="XX00"),
            Account(iban=""),
            Account(iban="DE89370400440532013000", sort_code="200000", account_number="55779911"),
            Account(sort_code="200000"),
            Account(account_number="55779911"),
            Account(sort_code="20000", account_number="55779911"),
            Account(sort_code="200000", account_number="5577991"),
            Account(sort_code="٢٠٠٠٠٠", account_number="55779911"),
        ],
    )
    def test_is_refused_where_there_can_be_none(self, account):
        """Wrong check digits, and what is neither an IBAN nor a British account, have one code."""
        assert rules.check_account(rules.normal_account(account)) == "bank_account_invalid"

    def test_is_the_same_however_it_is_written(self):
        """Fingerprints are made of the normal form, without the holder."""
        one, other = Account(iban="de89 3704 0044 0532 0130 00", holder="A"), Account(iban="DE89370400440532013000")
        assert rules.account_value(rules.normal_account(one)) == rules.account_value(rules.normal_account(other))


class TestAPersonalValue:
    def test_is_the_same_however_it_is_written(self):
        """Case, width and blanks don't count."""
        assert rules.normal_personal(" \uff21da  LOVELACE\t") == rules.normal_personal("ada lovelace")


class TestASuccessor:
    def test_is_due_when_there_is_no_key(self) -> None:
        """Whoever asks first has it made."""
        assert rules.successor_due([], NOW)

    def test_is_due_when_the_newest_has_been_first_choice_for_its_time(self) -> None:
        """Seven days it is the first choice, and seven more it is still taken."""
        key = KeyTimes(generation=3, created_at=NOW, not_after=NOW + rules.LIFE)
        assert not rules.successor_due([key], NOW)
        assert not rules.successor_due([key], NOW + rules.ROTATE_AFTER - timedelta(seconds=1))
        assert rules.successor_due([key], NOW + rules.ROTATE_AFTER)
        assert key.not_after > NOW + rules.ROTATE_AFTER

    def test_is_due_when_the_newest_comes_from_the_future(self) -> None:
        """A clock that was wrong doesn't keep a key for longer."""
        key = KeyTimes(generation=3, created_at=NOW + timedelta(days=30), not_after=NOW + timedelta(days=44))
        assert rules.successor_due([key], NOW)
