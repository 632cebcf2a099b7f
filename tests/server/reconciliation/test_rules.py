"""Which alias names a statement entry's wallet (reconciliation.rules)."""

import datetime as dt
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.contract.wallets import AliasScheme
from billfold_server.reconciliation.rules import (
    AliasMatch,
    Span,
    Unmatched,
    alias_candidates,
    alias_levels,
    cash_code,
    match_levels,
    place,
)
from billfold_server.reconciliation.statements import StatementEntry
from billfold_server.wallets.service import AliasKey, normalise_alias

IBAN = "DE42100100100043921105"
VIRTUAL = "NL56AGDH9619008421"


def entry(**facts) -> StatementEntry:
    """Make an entry that says nothing but what the test says."""
    day = dt.date(2026, 3, 2)
    nothing = {
        "entry_reference": None,
        "booking_date": day,
        "value_date": day,
        "amount_minor": 500,
        "currency": "EUR",
        "counterparty_name": None,
        "counterparty_iban": None,
        "end_to_end_id": None,
        "references": (),
        "remittance": None,
        "bank_transaction_code": None,
        "position": 1,
    }
    return StatementEntry(**(nothing | facts))


def alias(scheme: str, value: str) -> AliasKey:
    """Name an alias by its scheme and what somebody wrote."""
    return AliasKey(AliasScheme(scheme), normalise_alias(AliasScheme(scheme), value))


def aliases(**values: str) -> dict[AliasKey, str]:
    """Give one wallet to each alias, named after the scheme."""
    return {alias(scheme, value): f"wallet by {scheme}" for scheme, value in values.items()}


def candidates(one: StatementEntry) -> list[AliasKey]:
    """List all that could name an entry's wallet."""
    return alias_candidates(alias_levels(one))


def match_alias(one: StatementEntry, known: dict[AliasKey, str]) -> AliasMatch[str] | Unmatched:
    """Return the alias that names an entry's wallet, or why there is none."""
    return match_levels(alias_levels(one), known)


def wallet(found: AliasMatch[str] | Unmatched) -> str | None:
    """Name the wallet of a match."""
    return found.wallet_id if isinstance(found, AliasMatch) else None


SAYS_ALL = entry(counterparty_iban=IBAN, references=("INV-17",), counterparty_name="Jane  ROE")


class TestAnAlias:
    def test_by_iban_goes_first(self):
        """The counterparty's IBAN names the wallet before anything else does."""
        found = match_alias(SAYS_ALL, aliases(iban="de42 1001 0010 0043 9211 05", reference="inv-17", name="jane roe"))
        assert found == AliasMatch(AliasScheme.IBAN, IBAN, "wallet by iban")

    def test_by_reference_goes_before_the_name(self):
        """A reference names the wallet before a name does."""
        found = match_alias(SAYS_ALL, aliases(reference="inv-17", name="jane roe"))
        assert found == AliasMatch(AliasScheme.REFERENCE, "inv-17", "wallet by reference")

    def test_by_name_goes_last(self):
        """A name counts whatever its case and its blanks."""
        found = match_alias(SAYS_ALL, aliases(name=" JANE roe "))
        assert found == AliasMatch(AliasScheme.NAME, "jane roe", "wallet by name")

    def test_that_nobody_has_names_nothing(self):
        """Without an alias there is no wallet."""
        assert match_alias(SAYS_ALL, {}) is Unmatched.NO_ALIAS
        assert match_alias(entry(), aliases(iban=IBAN, reference="x", name="")) is Unmatched.NO_ALIAS

    def test_by_a_virtual_iban_is_found_among_references(self):
        """An IBAN on the own side that stands for a wallet names it, after the counterparty's."""
        virtual = entry(counterparty_iban=IBAN, references=("X", VIRTUAL))
        assert wallet(match_alias(virtual, aliases(iban=VIRTUAL, reference="x"))) == "wallet by iban"
        both = {alias("iban", IBAN): "counterparty's", alias("iban", VIRTUAL): "virtual"}
        assert wallet(match_alias(virtual, both)) == "counterparty's"

    @pytest.mark.parametrize(
        "text", ["INV-17", "pay inv-17", "(INV-17)", "for INV-17, thanks", "ref:INV-17/2", "INV-17\u00a0now"]
    )
    def test_by_reference_is_found_in_text_as_a_whole_word(self, text):
        """White space and punctuation end a word."""
        assert wallet(match_alias(entry(remittance=text), aliases(reference="INV-17"))) == "wallet by reference"
        assert wallet(match_alias(entry(references=(text,)), aliases(reference="INV-17"))) == "wallet by reference"

    @pytest.mark.parametrize("text", ["INV-170", "XINV-17", "INV-1", "INV 17", "1INV-17"])
    def test_by_reference_is_not_found_inside_a_word(self, text):
        """A letter or digit at either side makes it another word."""
        assert match_alias(entry(remittance=text), aliases(reference="INV-17")) is Unmatched.NO_ALIAS

    def test_of_few_letters_must_be_a_field_of_its_own(self):
        """A short reference stands in many a text by chance."""
        assert match_alias(entry(remittance="flat 7 B"), aliases(reference="7")) is Unmatched.NO_ALIAS
        assert wallet(match_alias(entry(references=("7",)), aliases(reference="7"))) == "wallet by reference"

    def test_of_several_words_is_found(self):
        """A reference with blanks in it is one reference."""
        found = match_alias(entry(remittance="x TFNR 40005  00005 y"), aliases(reference="TFNR 40005 00005"))
        assert wallet(found) == "wallet by reference"

    def test_that_is_part_of_a_longer_one_gives_way(self):
        """Of two references, one inside of the other, the longer one is meant."""
        both = {alias("reference", "inv-1"): "short", alias("reference", "inv-1-2"): "long"}
        assert wallet(match_alias(entry(remittance="INV-1-2"), both)) == "long"

    def test_is_not_chosen_between_two_wallets(self):
        """Two references to two wallets name none, and the name isn't asked any more."""
        torn = entry(remittance="INV-17 INV-18", counterparty_name="Jane")
        both = {alias("reference", "inv-17"): "one", alias("reference", "inv-18"): "two", alias("name", "jane"): "one"}
        assert match_alias(torn, both) is Unmatched.AMBIGUOUS_ALIAS
        assert wallet(match_alias(torn, both | {alias("reference", "inv-18"): "one"})) == "one"


TEXTS = st.text("ab1 -/,ßÄ", max_size=30)


class TestCandidates:
    def test_are_in_order_of_trust(self):
        """The strongest comes first, each once."""
        assert candidates(SAYS_ALL) == [alias("iban", IBAN), alias("reference", "inv-17"), alias("name", "jane roe")]

    @given(references=st.lists(TEXTS, max_size=3), remittance=TEXTS, name=TEXTS, pick=st.integers(0, 1000))
    def test_are_all_that_can_match(self, references, remittance, name, pick):
        """Each candidate matches when it is the only alias, and nothing else does."""
        one = entry(references=tuple(references), remittance=remittance, counterparty_name=name)
        all_of_them = candidates(one)
        assert len(set(all_of_them)) == len(all_of_them)
        if all_of_them:
            key = all_of_them[pick % len(all_of_them)]
            found = match_alias(one, {key: "wallet", alias("reference", "none of it"): "other"})
            assert isinstance(found, AliasMatch)
            assert (AliasKey(found.scheme, found.value), found.wallet_id) == (key, "wallet")

    @given(TEXTS)
    def test_are_normalised_once_and_for_all(self, text):
        """Normalising twice changes nothing, so what is stored can be compared."""
        for scheme in AliasScheme:
            once = normalise_alias(scheme, text)
            assert normalise_alias(scheme, once) == once

    def test_of_a_long_text_are_bounded(self):
        """A text of a hundred thousand words doesn't ask for as many aliases."""
        assert len(candidates(entry(remittance="abcd1 " * 100_000))) <= 5
        assert len(candidates(entry(remittance=" ".join(f"word{n}" for n in range(100_000))))) <= 800


class TestACashAccountsCode:
    @pytest.mark.parametrize(
        ("bank_account", "code"),
        [
            ("NL26VAYB8060476890", "cash:NL26VAYB8060476890"),
            ("50880050/0194774600888", "cash:50880050.0194774600888"),
            ("A.B_C", "cash:A_2e_B_5f_C"),
        ],
    )
    def test_is_the_bank_account(self, bank_account, code):
        """What the chart of accounts can hold stays readable."""
        assert cash_code(bank_account) == code

    @given(st.text(max_size=100), st.text(max_size=100))
    def test_is_the_bank_accounts_own(self, one, other):
        """Two bank accounts never share a code, and each code is one that the chart of accounts takes."""
        assert (cash_code(one) == cash_code(other)) == (one == other)
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,79}", cash_code(one))


def days_of(movements: list[int], opening_minor: int) -> list[Span]:
    """Make a statement for each day, of which each continues the one before."""
    spans, balance = [], opening_minor
    for number, moved in enumerate(movements):
        day = dt.date(2026, 3, 1) + dt.timedelta(days=number)
        spans.append(
            Span(
                statement_key=f"S{number}",
                opening_date=day,
                closing_date=day,
                opening_minor=balance,
                reached_minor=balance + moved,
            )
        )
        balance += moved
    return spans


class TestAPlace:
    @given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=8), st.integers(-5000, 5000), st.randoms())
    def test_does_not_depend_on_the_order_of_arrival(self, movements, opening_minor, random):
        """However a run of statements comes in, the books end where the last one leads, and nothing is unexplained."""
        spans = days_of(movements, opening_minor)
        first = last = None
        cash = equity = breaks = 0
        for number in random.sample(range(len(spans)), len(spans)):
            here = place(spans[number], first=first, last=last, cash_minor=cash, moved_minor=movements[number])
            cash += here.opening_minor + here.break_minor + movements[number]
            equity, breaks = equity + here.opening_minor, breaks + here.break_minor
            first, last = here.first, here.last
        assert (cash, equity, breaks) == (opening_minor + sum(movements), opening_minor, 0)
        assert (first, last) == (spans[0], spans[-1])

    @given(st.lists(st.integers(1, 1000), min_size=3, max_size=8), st.data())
    def test_with_a_day_missing_is_off_by_that_day(self, movements, data):
        """What is unexplained in the end is exactly what the missing statement would have explained."""
        spans = days_of(movements, 100)
        missing = data.draw(st.integers(1, len(spans) - 2))
        first = last = None
        cash = breaks = 0
        for number in data.draw(st.permutations([n for n in range(len(spans)) if n != missing])):
            here = place(spans[number], first=first, last=last, cash_minor=cash, moved_minor=movements[number])
            cash += here.opening_minor + here.break_minor + movements[number]
            breaks += here.break_minor
            first, last = here.first, here.last
        assert (cash, breaks) == (100 + sum(movements), movements[missing])

    def test_among_pages_of_one_day_follows_the_balances(self):
        """Pages of the same days are told apart by which of them leads to the other."""
        day = dt.date(2026, 3, 2)
        one, two, three = (
            Span(statement_key=key, opening_date=day, closing_date=day, opening_minor=start, reached_minor=end)
            for key, start, end in (("1", 0, 10), ("2", 10, 5), ("3", 5, 7))
        )
        assert three.reaches_beyond(two)
        assert not one.reaches_beyond(two)
        assert one.begins_before(two)
        assert not three.begins_before(two)
