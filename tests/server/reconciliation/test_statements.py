"""What read_statements makes of statement files, whole and broken (reconciliation.statements)."""

import datetime as dt
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mt940 import parse_statements as library_parse
from mt940.options import Options
from mt940.tags import StatementASNB, Tag

from billfold import money
from billfold_server.reconciliation.model import MAX_ENTRIES, MAX_STATEMENTS
from billfold_server.reconciliation.statements import Statement, StatementUnreadable, read_statements
from tests.server.reconciliation.statement_files import (
    DAY,
    Entry,
    Plan,
    camt053,
    camt_document,
    message,
    mt940,
    refusal,
)
from tests.shared_files import shared_path

# What banks sent.


class TestThePublishedFile:
    @pytest.mark.parametrize(
        ("name", "closing"),
        [
            ("camt053_v2_five_decimals.xml", [False]),
            ("camt053_v2_multi_statement.xml", [True, True]),
            ("camt053_v4.xml", [False]),
            ("mt940_abnamro.sta", [False, False]),
            ("mt940_asnb.txt", [True] * 31),
            ("mt940_de_sepa_large.sta", [True] * 26),
            ("mt940_february_30.sta", [True]),
        ],
    )
    def test_closes_or_not_as_it_does(self, name, closing):
        """Each statement's own arithmetic comes out as it is in the file."""
        statements = read_statements(shared_path("statements", name).read_bytes())
        assert [statement.closes for statement in statements] == closing
        assert [statement.verdict.startswith("closes: ") for statement in statements] == closing

    def test_of_german_pages_has_fifteen_statements_of_one_page(self):
        """Fifteen of the German statements are on one page, and five are on two or three; all pages close."""
        statements = read_statements(shared_path("statements", "mt940_de_sepa_large.sta").read_bytes())
        kinds = [(one.opening.kind, one.closing.kind) for one in statements if one.closes]
        assert kinds.count(("60F", "62F")) == 15
        assert kinds.count(("60F", "62M")) == kinds.count(("60M", "62F")) == 5

    def test_of_german_pages_shows_counterparties_and_references(self):
        """Sub-fields and keywords are read across the cuts between lines and sub-fields."""
        statements = read_statements(shared_path("statements", "mt940_de_sepa_large.sta").read_bytes())
        entry = next(one for one in statements[1].entries if one.entry_reference == "0724710290621954")
        assert entry.end_to_end_id == "EndToEndIdTFNR2000400001"
        assert entry.counterparty_iban == "DE42100100100043921105"
        assert entry.counterparty_name == "Richter Renate 70 Zeichen Beginn Fuellzeichen xxxxxxxx"

    def test_with_zeros_behind_the_cents_is_exact(self):
        """Five cents are missing, told in amounts with three digits behind the point."""
        [statement] = read_statements(shared_path("statements", "camt053_v2_five_decimals.xml").read_bytes())
        assert (statement.opening.amount_minor, statement.closing.amount_minor) == (1815, 2705)
        assert statement.difference_minor == -5

    def test_with_mixed_currencies_says_so(self):
        """A closing balance in another currency leaves nothing to add up."""
        [statement] = read_statements(shared_path("statements", "camt053_v4.xml").read_bytes())
        assert (statement.closing.amount_minor, statement.closing.currency) == (-2700, "SEK")
        assert (statement.difference_minor, statement.foreign_currency) == (None, "SEK")
        assert statement.bank_account_scheme == "iban"

    def test_with_february_30_has_value_on_the_29th(self):
        """A day that February lacks is its last one."""
        [statement] = read_statements(shared_path("statements", "mt940_february_30.sta").read_bytes())
        [entry] = statement.entries
        assert (entry.value_date, entry.booking_date) == (dt.date(2016, 2, 29), dt.date(2016, 3, 1))

    def test_that_masks_its_accounts_still_names_counterparties(self):
        """ASN Bank writes account and name of the other side as free text, with check digits that don't hold."""
        statements = read_statements(shared_path("statements", "mt940_asnb.txt").read_bytes())
        entries = [entry for statement in statements for entry in statement.entries]
        assert {(one.counterparty_iban, one.counterparty_name) for one in entries if one.amount_minor > 0} == {
            ("NL56ASNB9999999999", "paulissen g j l m"),
            ("NL25INGB9999999999", "transfer solutions bv"),
        }

    @pytest.mark.parametrize(
        "name", ["mt940_abnamro.sta", "mt940_asnb.txt", "mt940_de_sepa_large.sta", "mt940_february_30.sta"]
    )
    def test_has_the_amounts_and_dates_that_the_library_finds(self, name):
        """Where the mt-940 library reads whole fields, it reads the same."""
        data = shared_path("statements", name).read_bytes()
        # ASN Bank's references are longer than the library takes by itself; it has a tag for that bank.
        tags: dict[int | str, Tag] | None = {61: StatementASNB()} if name == "mt940_asnb.txt" else None
        theirs = [
            (money.from_decimal(one.data["amount"].amount, "EUR"), one.data["date"], one.data["entry_date"])
            for statement in library_parse(data, options=Options.all(), tags=tags)
            for one in statement
        ]
        assert theirs == [
            (e.amount_minor, e.value_date, e.booking_date) for s in read_statements(data) for e in s.entries
        ]

    @pytest.mark.parametrize(
        ("name", "line", "word"),
        [
            ("camt054_v4_batch.xml", 2, "camt.054"),
            ("ofx_bad_decimal.ofx", 1, "OFX"),
            ("ofx_suncorp_aud.ofx", 1, "OFX"),
            ("bai2_sample1.txt", 1, "BAI2"),
            ("bai2_continuations.txt", 1, "BAI2"),
            ("ach_iat_return.ach", 1, "NACHA"),
            ("paypal_stl.csv", 1, "CSV"),
            ("stripe_payout_recon.csv", 1, "CSV"),
            ("adyen_sdr_refund.csv", 1, "CSV"),
            ("checkout_settlement_breakdown.csv", 1, "CSV"),
        ],
    )
    def test_of_another_kind_is_refused_by_name(self, name, line, word):
        """A file that isn't a statement is refused, and the refusal says what it is."""
        error = refusal(shared_path("statements", name).read_bytes())
        assert error.line == line
        assert word in error.reason


# What was written is read back.

WORDS = st.lists(st.text("abcXYZ0189", min_size=1, max_size=12), min_size=1, max_size=8).map(" ".join)
IBANS = st.sampled_from(["DE42100100100043921105", "NL56AGDH9619008421", "CH8500779014054431109"])


@st.composite
def entries(draw, days=4):
    """Draw an entry that both formats can show."""
    day = DAY + dt.timedelta(days=draw(st.integers(0, days - 1)))
    return Entry(
        amount_minor=draw(st.integers(-(10**12), 10**12).filter(bool)),
        booking_date=day,
        value_date=day + dt.timedelta(days=draw(st.integers(-120, 120))),
        reversal=draw(st.booleans()),
        entry_reference=draw(st.none() | st.text("ABC0123", min_size=1, max_size=16)),
        end_to_end_id=draw(st.none() | WORDS.map(lambda text: f"E{text}"[:35].strip())),
        name=draw(st.none() | WORDS.map(lambda text: text[:54].strip())),
        iban=draw(st.none() | IBANS),
        remittance=draw(st.none() | WORDS),
    )


PLANS = st.builds(
    lambda entries, opening_minor, currency: Plan(
        sorted(entries, key=lambda entry: entry.booking_date),
        opening_minor,
        currency,
        last_day=DAY + dt.timedelta(days=3),
    ),
    st.lists(entries(), max_size=6),
    st.integers(-(10**12), 10**12),
    st.sampled_from(["EUR", "JPY", "KWD", "CLF"]),
)


def facts(statement: Statement) -> tuple[object, ...]:
    """List what a statement was made from."""
    return (
        statement.bank_account,
        statement.currency,
        (statement.opening.amount_minor, statement.opening.date),
        (statement.closing.amount_minor, statement.closing.date),
        [
            (
                one.amount_minor,
                one.booking_date,
                one.value_date,
                one.entry_reference,
                one.end_to_end_id,
                one.counterparty_name,
                one.counterparty_iban,
            )
            for one in statement.entries
        ],
    )


def planned(plan: Plan) -> tuple[object, ...]:
    """List what a plan is to become."""
    return (
        plan.account,
        plan.currency,
        (plan.opening_minor, plan.first_day),
        (plan.closing_minor, plan.last_day),
        [
            (e.amount_minor, e.booking_date, e.value_date, e.entry_reference, e.end_to_end_id, e.name, e.iban)
            for e in plan.entries
        ],
    )


class TestAStatementWritten:
    @given(plan=PLANS, newline=st.sampled_from(["\n", "\r\n", "\r"]))
    @settings(max_examples=200)
    def test_as_mt940_is_read_back(self, plan, newline):
        """All that was written comes back, and the statement closes."""
        [statement] = read_statements(mt940(plan, newline=newline))
        assert facts(statement) == planned(plan)
        texts = [entry.remittance for entry in plan.entries]
        assert [one.remittance for one in statement.entries] == [text or "TRANSFER" for text in texts]
        assert statement.difference_minor == 0

    @given(plan=PLANS, version=st.integers(2, 13))
    @settings(max_examples=200)
    def test_as_camt_is_read_back(self, plan, version):
        """All that was written comes back in each version, and the statement closes."""
        [statement] = read_statements(camt053(plan, version=version))
        assert facts(statement) == planned(plan)
        assert [one.remittance for one in statement.entries] == [entry.remittance for entry in plan.entries]
        assert statement.difference_minor == 0


# Bytes that nobody wrote.

VALID = [
    mt940(Plan([Entry(500, name="Ann", iban="NL56AGDH9619008421", remittance="inv 7"), Entry(-20)]), Plan(id="S2")),
    camt053(Plan([Entry(500, name="Ann", iban="NL56AGDH9619008421", remittance="inv 7"), Entry(-20)]), Plan(id="S2")),
]


def read_or_refuse(data: bytes) -> None:
    """Read a file; a refusal has a reason, and a line that the file has."""
    try:
        statements = read_statements(data)
    except StatementUnreadable as error:
        refused = error
    else:
        assert statements
        assert all(statement.verdict for statement in statements)
        return
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
    assert refused.reason
    assert refused.line is None or 1 <= refused.line <= lines


class TestAnyFile:
    @given(data=st.binary(max_size=400), head=st.sampled_from([b"", b":20:", b"<", VALID[1][:140], VALID[0][:60]]))
    @settings(max_examples=400)
    def test_of_random_bytes_is_read_or_refused(self, data, head):
        """Nothing but the one error comes out, whatever goes in."""
        read_or_refuse(head + data)

    @given(data=st.data())
    @settings(max_examples=600)
    def test_that_was_damaged_is_read_or_refused(self, data):
        """A file in which pieces were cut, doubled or overwritten is read or refused, and nothing else."""
        damaged = data.draw(st.sampled_from(VALID))
        for _ in range(data.draw(st.integers(1, 4))):
            start = data.draw(st.integers(0, len(damaged)))
            end = min(len(damaged), start + data.draw(st.integers(0, 30)))
            piece = data.draw(st.binary(max_size=6) | st.just(damaged[start:end] * 2))
            damaged = damaged[:start] + piece + damaged[end:]
        read_or_refuse(damaged)

    @given(data=st.data())
    def test_that_was_cut_off_inside_its_last_statement_is_refused(self, data):
        """A file whose last closing balance is missing changes nothing, as it can't be read."""
        whole = data.draw(st.sampled_from(VALID))
        last = whole.rindex(b":62F:" if whole.startswith(b":") else b"</Document>")
        first = whole.rindex(b":20:S2") + 1 if whole.startswith(b":") else 1
        assert refusal(whole[: data.draw(st.integers(first, last))]).reason

    @pytest.mark.parametrize(
        "body",
        [
            b"?20EREF+" * 100_000,
            b"/EREF/" * 100_000,
            b"AB12CDEFGHIJKLMNOP " * 50_000,
            b"AB12" * 200_000,
            b"a\n" * 400_000,
            b" " * 800_000,
            b"?31" * 250_000,
        ],
    )
    def test_of_hostile_text_takes_bounded_time(self, body):
        """The time that a field takes grows with its length, not with the square of it."""
        head = message(":60F:C260301EUR0,", ":61:2603020302C1,NTRFNONREF", ":86:166?00")[:-1]
        started = time.process_time()
        read_statements(head + body + b"\n:62F:C260302EUR1,\n")
        assert time.process_time() - started < 20


class TestHostileXml:
    @pytest.mark.parametrize(
        "declaration",
        [
            b'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>',
            b'<!DOCTYPE d SYSTEM "file:///etc/passwd">',
            b'<!DOCTYPE d [<!ENTITY x SYSTEM "http://127.0.0.1/">]>',
            b'<!DOCTYPE d [<!ENTITY % p SYSTEM "http://127.0.0.1/"> %p;]>',
        ],
    )
    def test_with_a_document_type_is_refused_where_it_begins(self, declaration):
        """No entity is ever declared, so none can be expanded or fetched."""
        head, body = VALID[1].split(b"\n", 1)
        error = refusal(head + b"\n" + declaration + b"\n" + body.replace(b"Ann", b"&a;"))
        assert error.line == 2
        assert "document type" in error.reason

    def test_with_an_undeclared_entity_is_refused(self):
        """An entity that nobody declared isn't left out in silence."""
        error = refusal(VALID[1].replace(b"Ann", b"&a;"))
        assert error.line == 7
        assert "entity" in error.reason

    def test_that_is_nested_deeply_is_refused(self):
        """Depth is bounded."""
        assert "nested" in refusal(camt_document("<a>" * 100_000)).reason

    def test_with_an_encoding_that_nobody_has_is_refused(self):
        """An unknown encoding is a refusal like any other."""
        error = refusal(VALID[1].replace(b"UTF-8", b"x-none"))
        assert (error.line, "encoding" in error.reason) == (1, True)

    def test_in_another_encoding_is_read(self):
        """Names in Latin-1 and UTF-16 come out right where the declaration says so."""
        text = VALID[1].decode().replace("Ann", "Zoë")
        for encoding, codec in (("ISO-8859-1", "latin-1"), ("UTF-16", "utf-16"), ("windows-1252", "cp1252")):
            [statement, _] = read_statements(text.replace("UTF-8", encoding).encode(codec))
            assert statement.entries[0].counterparty_name == "Zoë"

    def test_that_lies_about_its_encoding_is_refused(self):
        """Latin-1 bytes in a file that calls itself UTF-8 aren't guessed at."""
        error = refusal(VALID[1].replace(b"Ann", b"Zo\xeb"))
        assert (error.line, "well-formed" in error.reason) == (7, True)


class TestABrokenFile:
    @pytest.mark.parametrize("data", [b"", b" \r\n\t\n", b"\xef\xbb\xbf\n"])
    def test_that_is_empty_is_refused(self, data):
        """An empty file has no line to name."""
        error = refusal(data)
        assert (error.line, error.reason) == (None, "the file is empty")

    def test_above_the_limit_is_refused_unread(self):
        """The size is looked at before anything else."""
        assert refusal(VALID[0], max_bytes=len(VALID[0]) - 1).line is None
        assert read_statements(VALID[0], max_bytes=len(VALID[0]))

    def test_with_too_many_entries_is_refused_at_the_first_above(self):
        """The number of entries is bounded, so that booking takes seconds; who sends it is told how to go on."""
        error = refusal(message(":60F:C260301EUR0,", *[":61:260302C1,NTRFX"] * (MAX_ENTRIES + 1)))
        assert error.line == 4 + MAX_ENTRIES + 1
        assert error.reason == "the file has more than 5000 entries; send it in parts, by statement or by day"
        assert refusal(camt053(Plan([Entry(100)] * (MAX_ENTRIES + 1)))).reason == error.reason

    @pytest.mark.parametrize("write", [camt053, mt940])
    def test_with_too_many_statements_is_refused(self, write):
        """Each statement is booked, too, also where it has no entries."""
        plans = [Plan(sequence=number) for number in range(1, MAX_STATEMENTS + 2)]
        assert "more than 1000 statements" in refusal(write(*plans)).reason
        assert len(read_statements(write(*plans[1:]))) == MAX_STATEMENTS

    @pytest.mark.parametrize(
        ("fields", "line", "word"),
        [
            ((":60F:C260301EUR0,", ":62F:C260302EUR1.5"), 5, ":62F:"),
            ((":60F:C260301EUR", ":62F:C260302EUR0,"), 4, ":60F:"),
            ((":60F:C260301EUR1234", ":62F:C260302EUR0,"), 4, "comma"),
            ((":60F:X260301EUR1,", ":62F:C260302EUR0,"), 4, ":60F:"),
            ((":60F:C261301EUR1,", ":62F:C260302EUR0,"), 4, "calendar"),
            ((":60F:C260332EUR1,", ":62F:C260302EUR0,"), 4, "calendar"),
            ((":60F:C260301XXX1,", ":62F:C260302EUR0,"), 4, "currency"),
            ((":60F:C260301EUR0,001", ":62F:C260302EUR0,"), 4, "digits"),
            ((":60F:C260301EUR99999999999999,99", ":62F:C260302EUR0,"), 4, "10^15"),
            ((":60F:C260301EUR0,", ":61:260302C1.50NTRFNONREF", ":62F:C260302EUR0,"), 5, ":61:"),
            ((":60F:C260301EUR0,", ":61:260302C1,5O0NTRFNONREF", ":62F:C260302EUR0,"), 5, ":61:"),
            ((":60F:C260301EUR0,", ":61:260302X1,5NTRFNONREF", ":62F:C260302EUR0,"), 5, ":61:"),
            ((":60F:C260301JPY0,", ":61:260302C1,5NTRFNONREF", ":62F:C260302JPY0,"), 5, "digits"),
            ((":60F:C260301EUR0,", ":61:2603021332C1,NTRFX", ":62F:C260302EUR0,"), 5, "calendar"),
            ((":60F:C260301EUR0,", ":61:260302C1,NTRFX", ":86:text"), 6, "no closing balance"),
            ((":62F:C260302EUR0,",), 1, "no opening balance"),
            ((":34F:EUR0,", ":61:260302C1,NTRFX"), 5, "outside"),
            ((":34F:EUR0,", ":90D:0EUR0,"), 1, "MT942"),
            ((":60F:C260301EUR0,", ":60F:C260301EUR0,"), 5, "second opening"),
            ((":60F:C260301EUR0,", ":62F:C260302EUR0,", ":62F:C260302EUR0,"), 6, "second closing"),
            ((":60F:C260301EUR0,", ":62F:C260302EUR0,", ":61:260302C1,NTRFX"), 6, "outside"),
            ((":60F:C260301EUR0,", ":77E:x", ":62F:C260302EUR0,"), 5, ":77E:"),
            ((":60F:C260301EUR0,", ":62F:C260302EUR0,", "-", ":61:260302C1,NTRFX"), 7, "outside of a message"),
            ((":60F:C260301EUR0,", ":62F:C260302EUR\x000,"), 5, "control character"),
        ],
    )
    def test_of_mt940_is_refused_with_its_line(self, fields, line, word):
        """What is wrong with a field is said with the line on which it stands."""
        error = refusal(message(*fields))
        assert error.line == line
        assert word in error.reason

    def test_of_mt940_without_its_beginning_is_refused(self):
        """A file that starts in the middle of a message has lost entries."""
        error = refusal(b":61:260302C1,NTRFX\n:62F:C260302EUR0,\n")
        assert (error.line, "outside of a message" in error.reason) == (1, True)

    @pytest.mark.parametrize(("number", "word"), [("942", "interim"), ("941", "balance"), ("103", "another")])
    def test_with_another_swift_message_is_refused_by_name(self, number, word):
        """The envelope names the message."""
        error = refusal(b"\n{1:F01BANKNL2AXXXX}{2:O" + number.encode() + b"BANK}{4:\n" + VALID[0])
        assert (error.line, f"MT{number} is" in error.reason, word in error.reason) == (2, True, True)

    def test_without_an_account_is_refused(self):
        """A statement has to say whose it is."""
        error = refusal(b":20:A\n:60F:C260301EUR0,\n:62F:C260301EUR0,\n")
        assert (error.line, ":25:" in error.reason) == (1, True)

    @pytest.mark.parametrize(
        ("old", "new", "line", "word"),
        [
            (b"camt.053", b"camt.052", 2, "camt.052 is an intraday report"),
            (b"camt.053", b"camt.054", 2, "camt.054 is a debit or credit notification"),
            (b"camt.053", b"pain.001", 2, "pain.001"),
            (b"camt.053.001.08", b"camt.053.001.01", 2, "version 01"),
            (b"urn:iso", b"urn:oso", 2, "namespace"),
            (b"Document", b"Envelope", 2, "Document"),
            (b"Stmt>", b"Stmnt>", 2, "no statement"),
            (b"IBAN", b"IBAM", 4, "no account"),
            (b"OPBD", b"OPAV", 4, "no opening balance"),
            (b"CLBD", b"CLAV", 4, "no closing balance"),
            (b">5.00<", b">5,00<", 7, "decimal number"),
            (b">5.00<", b">-5.00<", 7, "negative"),
            (b">5.00<", b"><", 7, "no amount"),
            (b">5.00<", b">5.001<", 7, "digits"),
            (b">5.00<", b">1e3<", 7, "decimal number"),
            (b">5.00<", b">" + b"9" * 5000 + b"<", 7, "decimal number"),
            (b'<Ntry><Amt Ccy="EUR">', b"<Ntry><Amt>", 7, "no currency"),
            (b'<Ntry><Amt Ccy="EUR">', b'<Ntry><Amt Ccy="EUX">', 7, "currency"),
            (b"<Cd>BOOK</Cd>", b"", 7, "no status"),
            (b"5.00</Amt><CdtDbtInd>CRDT", b"5.00</Amt><CdtDbtInd>CREDIT", 7, "CdtDbtInd"),
            (b"<BookgDt><Dt>2026-03-02", b"<BookgDt><Dt>2026-02-30", 7, "BookgDt"),
            (b"</Stmt>", b"</Smt>", 9, "well-formed"),
        ],
    )
    def test_of_camt_is_refused_with_its_line(self, old, new, line, word):
        """What is wrong with an element is said with the line on which it stands."""
        data = camt053(Plan([Entry(500), Entry(-20)]))
        assert old in data
        error = refusal(data.replace(old, new))
        assert error.line == line
        assert word in error.reason
