"""Which alias names a statement entry's wallet (reconciliation.rules)."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.contract.wallets import AliasScheme
from billfold_server.reconciliation.rules import AliasMatch, alias_candidates, match_alias, normalise_alias
from billfold_server.reconciliation.statements import StatementEntry

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


def aliases(**values: str) -> dict[tuple[str, str], str]:
    """Give one wallet to each alias, named after the scheme."""
    return {(scheme, normalise_alias(scheme, value)): f"wallet by {scheme}" for scheme, value in values.items()}


def wallet(found: AliasMatch[str] | None) -> str | None:
    """Name the wallet of a match."""
    return found.wallet_id if found else None


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
        assert match_alias(SAYS_ALL, {}) is None
        assert match_alias(entry(), aliases(iban=IBAN, reference="x", name="")) is None

    def test_by_a_virtual_iban_is_found_among_references(self):
        """An IBAN on the own side that stands for a wallet names it, after the counterparty's."""
        virtual = entry(counterparty_iban=IBAN, references=("X", VIRTUAL))
        assert wallet(match_alias(virtual, aliases(iban=VIRTUAL, reference="x"))) == "wallet by iban"
        both = {("iban", IBAN): "counterparty's", ("iban", VIRTUAL): "virtual"}
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
        assert match_alias(entry(remittance=text), aliases(reference="INV-17")) is None

    def test_of_few_letters_must_be_a_field_of_its_own(self):
        """A short reference stands in many a text by chance."""
        assert match_alias(entry(remittance="flat 7 B"), aliases(reference="7")) is None
        assert wallet(match_alias(entry(references=("7",)), aliases(reference="7"))) == "wallet by reference"

    def test_of_several_words_is_found(self):
        """A reference with blanks in it is one reference."""
        found = match_alias(entry(remittance="x TFNR 40005  00005 y"), aliases(reference="TFNR 40005 00005"))
        assert wallet(found) == "wallet by reference"

    def test_that_is_part_of_a_longer_one_gives_way(self):
        """Of two references, one inside of the other, the longer one is meant."""
        both = {("reference", "inv-1"): "short", ("reference", "inv-1-2"): "long"}
        assert wallet(match_alias(entry(remittance="INV-1-2"), both)) == "long"

    def test_is_not_chosen_between_two_wallets(self):
        """Two references to two wallets name none, and the name isn't asked any more."""
        torn = entry(remittance="INV-17 INV-18", counterparty_name="Jane")
        both = {("reference", "inv-17"): "one", ("reference", "inv-18"): "two", ("name", "jane"): "one"}
        assert match_alias(torn, both) is None
        assert wallet(match_alias(torn, both | {("reference", "inv-18"): "one"})) == "one"


TEXTS = st.text("ab1 -/,ßÄ", max_size=30)


class TestCandidates:
    def test_are_in_order_of_trust(self):
        """The strongest comes first, each once."""
        assert alias_candidates(SAYS_ALL) == [("iban", IBAN), ("reference", "inv-17"), ("name", "jane roe")]

    @given(references=st.lists(TEXTS, max_size=3), remittance=TEXTS, name=TEXTS, pick=st.integers(0, 1000))
    def test_are_all_that_can_match(self, references, remittance, name, pick):
        """Each candidate matches when it is the only alias, and nothing else does."""
        one = entry(references=tuple(references), remittance=remittance, counterparty_name=name)
        candidates = alias_candidates(one)
        assert len(set(candidates)) == len(candidates)
        if candidates:
            key = candidates[pick % len(candidates)]
            found = match_alias(one, {key: "wallet", ("reference", "none of it"): "other"})
            assert found is not None
            assert ((found.scheme, found.value), found.wallet_id) == (key, "wallet")

    @given(TEXTS)
    def test_are_normalised_once_and_for_all(self, text):
        """Normalising twice changes nothing, so what is stored can be compared."""
        for scheme in AliasScheme:
            once = normalise_alias(scheme, text)
            assert normalise_alias(scheme, once) == once

    def test_of_a_long_text_are_bounded(self):
        """A text of a hundred thousand words doesn't ask for as many aliases."""
        assert len(alias_candidates(entry(remittance="abcd1 " * 100_000))) <= 5
        assert len(alias_candidates(entry(remittance=" ".join(f"word{n}" for n in range(100_000))))) <= 800
