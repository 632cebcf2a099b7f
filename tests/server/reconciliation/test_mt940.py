"""How MT940 is read, in the dialects that banks send (reconciliation.mt940)."""

import datetime as dt

import pytest

from billfold_server.reconciliation.statements import read_statements
from tests.server.reconciliation.statement_files import ACCOUNT, message


def entry_of(*fields: str, opening: str = ":60F:C260301EUR0,", closing: str = ":62F:C260302EUR0,"):
    """Read a message with one entry, and return the entry."""
    [statement] = read_statements(message(opening, *fields, closing))
    [entry] = statement.entries
    return entry


class TestAnMt940Entry:
    @pytest.mark.parametrize(
        ("mark", "amount_minor"),
        [("C", 150), ("D", -150), ("RC", -150), ("RD", 150), ("CR", 150), ("DR", -150), ("RCR", -150), ("RDR", 150)],
    )
    def test_has_the_sign_of_what_it_does(self, mark, amount_minor):
        """The reversal of a credit takes money; the letter behind the mark is the currency's third."""
        assert entry_of(f":61:2603020302{mark}1,5NTRFNONREF").amount_minor == amount_minor

    @pytest.mark.parametrize(
        ("dates", "value_date", "booking_date"),
        [
            ("260302", dt.date(2026, 3, 2), dt.date(2026, 3, 2)),
            ("260302    ", dt.date(2026, 3, 2), dt.date(2026, 3, 2)),
            ("2512310102", dt.date(2025, 12, 31), dt.date(2026, 1, 2)),
            ("2601021231", dt.date(2026, 1, 2), dt.date(2025, 12, 31)),
            ("2511200105", dt.date(2025, 11, 20), dt.date(2026, 1, 5)),
            ("2602300230", dt.date(2026, 2, 28), dt.date(2026, 2, 28)),
            ("2404310229", dt.date(2024, 4, 30), dt.date(2024, 2, 29)),
        ],
    )
    def test_has_its_dates(self, dates, value_date, booking_date):
        """The entry date takes the nearest year, and a day that the month lacks is its last."""
        entry = entry_of(f":61:{dates}C1,NTRFNONREF")
        assert (entry.value_date, entry.booking_date) == (value_date, booking_date)

    def test_has_references_and_type(self):
        """The customer's reference, the bank's and the transaction type are told apart."""
        entry = entry_of(":61:2603020302C1,NTRFINV-2026/17//B4711", "supplement")
        assert (entry.references, entry.entry_reference) == (("INV-2026/17",), "B4711")
        assert (entry.bank_transaction_code, entry.remittance, entry.position) == ("NTRF", "supplement", 5)

    @pytest.mark.parametrize("reference", ["NONREF", "KREF+", "NOTPROVIDED", ""])
    def test_without_a_reference_has_none(self, reference):
        """Words that stand for no reference aren't one."""
        assert entry_of(f":61:2603020302C1,NTRF{reference}").references == ()

    def test_with_german_sub_fields_is_taken_apart(self):
        """Keywords count at the start of a sub-field or word; full sub-fields go on without a blank."""
        entry = entry_of(
            ":61:2603020302C1,NTRFKREF+",
            ":86:166?00CREDIT?20EREF+ABCDEFGHIJKLMNOPQRSTUV?21WX?22MREF+M 1?23KREF+K1 ABWA+Jo Roe",
            "?24SVWZ+rent C+D?30BANKDEFF?31DE42100100100043921105?32Jane?33Roe",
        )
        assert entry.end_to_end_id == "ABCDEFGHIJKLMNOPQRSTUVWX"
        assert entry.references == ("ABCDEFGHIJKLMNOPQRSTUVWX", "K1", "M 1", "Jo Roe")
        assert (entry.counterparty_name, entry.counterparty_iban) == ("Jane Roe", "DE42100100100043921105")
        assert entry.remittance == "rent C+D"

    def test_with_a_foreign_account_number_keeps_it_as_a_reference(self):
        """An account number that is no IBAN can still name a wallet."""
        entry = entry_of(":61:2603020302C1,NTRFNONREF", ":86:020~00XY~20rent~31123456789~32Jane")
        assert (entry.counterparty_iban, entry.references) == (None, ("123456789",))

    def test_with_dutch_codes_is_taken_apart(self):
        """Pairs between slashes are read, also those with a whole counterparty in one."""
        entry = entry_of(
            ":61:2603020302C1,NTRFEREF",
            ":86:/TRTP/SEPA/IBAN/NL56AGDH9619008421/BIC/AGDHNL2A/NAME/J Roe/MARF/M7/REMI/rent/EREF/E-1",
        )
        assert (entry.counterparty_name, entry.counterparty_iban) == ("J Roe", "NL56AGDH9619008421")
        assert (entry.end_to_end_id, entry.remittance) == ("E-1", "rent")
        assert "M7" in entry.references
        other = entry_of(
            ":61:2603020302D1,NTRFX",
            ":86:/EREF/E-2//CNTP/NL56AGDH9619008421/AGDHNL2A/J Roe/CITY///REMI/STRD/CUR/9876543210/",
        )
        assert (other.counterparty_name, other.counterparty_iban) == ("J Roe", "NL56AGDH9619008421")
        assert "9876543210" in other.references

    def test_with_free_text_takes_the_only_iban_that_checks(self):
        """One IBAN with right check digits is the other side's; two leave it open, and the own account is neither."""
        head = ":61:2603020302C1,NTRFX"
        assert entry_of(head, f":86:from DE42100100100043921105 to {ACCOUNT}").counterparty_iban == (
            "DE42100100100043921105"
        )
        assert entry_of(head, ":86:DE42100100100043921105 NL56AGDH9619008421").counterparty_iban is None
        assert entry_of(head, ":86:from DE43100100100043921105").counterparty_iban is None

    def test_keeps_the_information_of_the_statement_out(self):
        """An :86: behind the closing balance belongs to the statement, not to its last entry."""
        data = message(":60F:C260301EUR0,", ":61:260302C1,NTRFX", ":86:mine", ":62F:C260302EUR1,", ":86:all")
        [statement] = read_statements(data)
        assert [entry.remittance for entry in statement.entries] == ["mine"]


class TestAnMt940File:
    @pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin-1", "utf-8-sig"])
    def test_is_read_in_its_encoding(self, encoding):
        """UTF-8 is tried first, and Western 8-bit text is read too."""
        data = message(":60F:C260301EUR0,", ":61:260302C1,NTRFX", ":86:Zoë Müller", ":62F:C260302EUR1,")
        [statement] = read_statements(data.decode().encode(encoding))
        assert statement.entries[0].remittance == "Zoë Müller"

    def test_may_have_envelopes_headers_and_framing(self):
        """What stands around messages is passed over."""
        one = message(":60F:C260301EUR0,", ":62F:C260302EUR0,").decode()
        swift = "\x01{1:F01BANKNL2AXXXX}{2:O940BANKNL2AXXXXN}{3:}{4:\n" + one + "-}{5:}\x03\n"
        assert len(read_statements((swift + "BANKNL2A\n940\nBANKNL2A\n" + one + "-\n\x1a").encode())) == 2

    @pytest.mark.parametrize(
        ("text", "account", "scheme"),
        [
            ("nl26 VAYB 8060 4768 90", ACCOUNT, "iban"),
            (f"{ACCOUNT} EUR", ACCOUNT, "iban"),
            (f"{ACCOUNT}EUR", ACCOUNT, "iban"),
            ("50880050/0194774600888", "50880050/0194774600888", "other"),
        ],
    )
    def test_names_its_account_in_one_way(self, text, account, scheme):
        """The account's id is upper case without blanks and without a currency behind it."""
        [statement] = read_statements(
            message(":60F:C260301EUR0,", ":62F:C260302EUR0,").replace(ACCOUNT.encode(), text.encode())
        )
        assert (statement.bank_account, statement.bank_account_scheme) == (account, scheme)
