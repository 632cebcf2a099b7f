"""How camt.053 is read in all its versions (reconciliation.camt053)."""

import datetime as dt

import pytest

from billfold_server.reconciliation.statements import read_statements
from tests.server.reconciliation.statement_files import (
    ACCOUNT,
    DAY,
    Entry,
    Plan,
    amount,
    camt053,
    camt_document,
    camt_statement,
    refusal,
)


def camt_entry_of(ntry: str, version: int = 8):
    """Read a camt.053 with one entry, and return the entry."""
    [statement] = read_statements(camt_document(camt_statement(Plan(), ntry), version))
    [entry] = statement.entries
    return entry


def ntry(minor: int, content: str = "", status: str = "<Cd>BOOK</Cd>") -> str:
    """Render an entry with whatever is in it."""
    return f"<Ntry>{amount(minor, 'EUR')}<Sts>{status}</Sts><BookgDt><Dt>{DAY}</Dt></BookgDt>{content}</Ntry>\n"


def transaction(minor: int, name: str, path: str = "") -> str:
    """Render a transaction of a batch, its amount in one of the places where versions put it."""
    shown = amount(minor, "EUR")
    if path:
        shown = f"<AmtDtls><{path}>{shown.split('<CdtDbtInd>')[0]}</{path}></AmtDtls>"
    return f"<TxDtls>{shown}<RltdPties><Dbtr><Nm>{name}</Nm></Dbtr></RltdPties></TxDtls>\n"


class TestACamtEntry:
    @pytest.mark.parametrize(("minor", "reversal"), [(500, True), (-500, True), (500, False), (-500, False)])
    def test_has_the_sign_of_its_indicator(self, minor, reversal):
        """CdtDbtInd says what the entry does; RvslInd only says that it undoes another."""
        entry = camt_entry_of(ntry(minor, f"<RvslInd>{str(reversal).lower()}</RvslInd>"))
        assert entry.amount_minor == minor

    def test_of_a_reversed_debit_names_the_one_who_got_the_money(self):
        """In a reversal the parties keep the roles of the original."""
        parties = "<RltdPties><Dbtr><Nm>We</Nm></Dbtr><Cdtr><Nm>Shop</Nm></Cdtr></RltdPties>"
        details = f"<NtryDtls><TxDtls>{parties}</TxDtls></NtryDtls>"
        assert camt_entry_of(ntry(500, f"<RvslInd>true</RvslInd>{details}"), 2).counterparty_name == "Shop"
        assert camt_entry_of(ntry(500, details), 2).counterparty_name == "We"

    @pytest.mark.parametrize("day", [dt.date.min, dt.date.max])
    def test_is_not_of_the_calendars_first_or_last_day(self, day: dt.date):
        """No balance could be told before the one, and nothing after the other."""
        assert refusal(camt053(Plan([], first_day=day, last_day=day))) is not None

    @pytest.mark.parametrize("path", ["", "TxAmt", "InstdAmt"])
    def test_of_a_batch_is_split_where_its_parts_add_up(self, path):
        """Each transaction of a batch becomes an entry of its own."""
        parts = transaction(300, "Ann", path) + transaction(200, "Bob", path)
        data = camt_document(camt_statement(Plan(), ntry(500, f"<NtryDtls>\n{parts}</NtryDtls>")), 4)
        [statement] = read_statements(data)
        found = [(one.amount_minor, one.counterparty_name, one.position) for one in statement.entries]
        assert found == [(300, "Ann", 8), (200, "Bob", 9)]

    @pytest.mark.parametrize("minor", [499, 501, -500])
    def test_of_a_batch_stays_whole_where_its_parts_do_not_add_up(self, minor):
        """Amounts that don't make up the entry's can't be trusted, and two debtors are no counterparty."""
        parts = transaction(300, "Ann") + transaction(200, "Bob")
        entry = camt_entry_of(ntry(minor, f"<NtryDtls>{parts}</NtryDtls>"), 4)
        assert (entry.amount_minor, entry.counterparty_name) == (minor, None)

    def test_of_a_batch_may_net_debits(self):
        """A part may go the other way than the entry."""
        parts = transaction(700, "Ann") + transaction(-200, "Bob")
        [statement] = read_statements(
            camt_document(camt_statement(Plan(), ntry(500, f"<NtryDtls>{parts}</NtryDtls>")), 4)
        )
        assert [one.amount_minor for one in statement.entries] == [700, -200]

    @pytest.mark.parametrize("status", ["<Cd>PDNG</Cd>", "INFO", "<Cd>FUTR</Cd>", "<Prtry>HELD</Prtry>"])
    def test_that_is_not_booked_moves_nothing(self, status):
        """A pending entry is shown, and doesn't count."""
        plan = Plan([Entry(500)])
        [statement] = read_statements(camt_document(camt_statement(plan, ntry(500) + ntry(900, status=status))))
        assert [one.booked for one in statement.entries] == [True, False]
        assert statement.closes

    def test_shows_all_references(self):
        """Each field that is a reference is one, and what stands for none isn't."""
        refs = "<EndToEndId>NOTPROVIDED</EndToEndId><MndtId>M1</MndtId><Prtry><Tp>x</Tp><Ref>P1</Ref></Prtry>"
        strd = "<Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd>"
        code = "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>"
        virtual = "<CdtrAcct><Id><IBAN>DE42100100100043921105</IBAN></Id></CdtrAcct><Dbtr><Nm>A</Nm></Dbtr>"
        details = f"<TxDtls><Refs>{refs}</Refs><RltdPties>{virtual}</RltdPties><RmtInf>{strd}</RmtInf></TxDtls>"
        entry = camt_entry_of(ntry(5, f"<NtryRef>N1</NtryRef>{code}<NtryDtls>{details}</NtryDtls>"), 2)
        assert entry.end_to_end_id is None
        assert entry.references == ("M1", "P1", "RF18539007547034", "DE42100100100043921105", "N1")
        assert entry.bank_transaction_code == "PMNT-RCDT-ESCT"

    def test_without_dates_takes_what_there_is(self):
        """The booking date falls back to the value date, and that to the statement's last day."""
        bare = f"<Ntry>{amount(5, 'EUR')}<Sts>BOOK</Sts>%s</Ntry>"
        assert camt_entry_of(bare % "").booking_date == DAY
        dated = camt_entry_of(bare % "<ValDt><Dt>2026-02-01Z</Dt></ValDt>")
        assert dated.booking_date == dated.value_date == dt.date(2026, 2, 1)


class TestACamtStatement:
    def test_may_open_with_the_previous_closing_balance(self):
        """PRCD is OPBD in other words, and OPBD wins where both are."""
        [statement] = read_statements(camt053(Plan([Entry(500)], 100)).replace(b"OPBD", b"PRCD"))
        assert (statement.opening.kind, statement.closes) == ("PRCD", True)

    def test_may_have_interim_balances(self):
        """A page in the middle opens and closes with an interim balance; one alone is not both."""
        data = camt053(Plan([Entry(500)], 100)).replace(b"OPBD", b"ITBD")
        [statement] = read_statements(data.replace(b"CLBD", b"ITBD"))
        assert (statement.opening.amount_minor, statement.closing.amount_minor) == (100, 600)
        assert "closing" in refusal(data.replace(b"CLBD", b"XPCD")).reason

    def test_in_two_currencies_does_not_close(self):
        """An entry in another currency can't be added up, and isn't."""
        [statement] = read_statements(
            camt053(Plan([Entry(500)])).replace(b'<Ntry><Amt Ccy="EUR"', b'<Ntry><Amt Ccy="USD"')
        )
        assert (statement.difference_minor, statement.closes, statement.foreign_currency) == (None, False, "USD")

    def test_takes_an_account_of_another_scheme(self):
        """An id that isn't an IBAN keeps the scheme that the bank names."""
        other = b"<Othr><Id>12 34-x</Id><SchmeNm><Cd>BBAN</Cd></SchmeNm></Othr>"
        data = camt053(Plan()).replace(f"<IBAN>{ACCOUNT}</IBAN>".encode(), other)
        [statement] = read_statements(data)
        assert (statement.bank_account, statement.bank_account_scheme) == ("1234-X", "bban")

    def test_has_one_id_however_often_it_is_sent(self):
        """The time at which a copy was made is no part of a statement's identity; its number is."""
        first, second, other = (
            read_statements(data)[0].statement_id
            for data in (
                camt053(Plan()),
                camt053(Plan()).replace(b"<Acct>", b"<CreDtTm>2026-03-09T01:00:00</CreDtTm><Acct>"),
                camt053(Plan(sequence=2)),
            )
        )
        assert first == second != other
