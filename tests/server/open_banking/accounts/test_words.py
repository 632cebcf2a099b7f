"""What is said of accounts in the words of the standard, without a server."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest

from billfold import errors
from billfold.contract.arrangements import (
    AccountScheme,
    ArrangementStatus,
    Beneficiary,
    CounterpartyAccount,
    DirectDebit,
    Frequency,
    MandateClass,
    OfferType,
    ProductType,
    ScheduledPayment,
    ScheduleType,
    StandingOrder,
)
from billfold.contract.open_banking.transactions import OBTransaction6
from billfold.contract.wallets import WalletStatus
from billfold.money import Money
from billfold_server.arrangements.service import KINDS, ArrangementRow
from billfold_server.consents.service import Consent
from billfold_server.ledger.service import Booking, JournalKind
from billfold_server.open_banking.accounts import products, records, rules, wallets
from billfold_server.open_banking.accounts.transactions import CODES, Transaction, to_transactions
from billfold_server.open_banking.accounts.words import SCHEMES, decimal_text, identification_of
from billfold_server.open_banking.edge.headers import accepted
from billfold_server.wallets.service import OtherSide

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WALLET, OTHER, ENTRY = UUID(int=1), UUID(int=2), UUID(int=3)
GERMAN = "DE89370400440532013000"
GRACE = CounterpartyAccount(scheme=AccountScheme.IBAN, identification=GERMAN, name="G", bic="BUKBGB22")


def row(terms: object) -> ArrangementRow:
    """Return a row of what is arranged."""
    return ArrangementRow(
        id=UUID(int=9),
        wallet_id=WALLET,
        kind=KINDS[type(terms)],
        status=ArrangementStatus.SUSPENDED,
        sealed_terms=b"",
        version=1,
        created_at=NOW,
        updated_at=NOW,
    )


def booking(minor: int, kind: str = "transfer") -> Booking:
    """Return what was booked to a wallet, as its owner sees it."""
    return Booking(ENTRY, 1, UUID(int=4), WALLET, -minor, "EUR", 700, NOW - timedelta(days=1), NOW, kind, "Bread")


def transaction(booked: Booking, other: OtherSide | None = None) -> Transaction:
    """Return it as a transaction, and see that it is one of the standard's; all of it where the other side is known."""
    (shown,) = to_transactions([booked], issuer="Bank", detail=other is not None, others=[other])
    official = msgspec.json.decode(msgspec.json.encode(shown), type=OBTransaction6)
    assert msgspec.to_builtins(official) == msgspec.to_builtins(shown)
    return shown


def code_of(shown: Transaction) -> str:
    """Return by which code a transaction is told."""
    return f"{shown.bank_transaction_code.code}/{shown.bank_transaction_code.sub_code}"


def consent(*permissions: str, from_: datetime | None = None, to: datetime | None = None) -> Consent:
    """Return a consent with these permissions and dates."""
    return Consent(
        id=UUID(int=5), kind="account_access", client_id=UUID(int=6), status="AUTH", status_reason=None, ended_by=None,
        created_at=NOW, status_updated_at=NOW, expires_at=None, ends_at=NOW, ended_at=None, authorised_at=NOW,
        reauthenticate_by=None, permissions=frozenset(permissions), transactions_from=from_, transactions_to=to,
        party_id=None, user_id=None, wallet_ids=(), sca_id=None, amount_minor=None, currency=None, terms=b"",
        request_sealed=b"", request_digest=b"", version=1,
    )  # fmt: skip


class TestATable:
    @pytest.mark.parametrize(
        ("table", "words"),
        [
            (SCHEMES, AccountScheme),
            (records.STATUSES, ArrangementStatus),
            (records.CLASSES, MandateClass),
            (records.OFFER_TYPES, OfferType),
            (products.TYPES, ProductType),
            (wallets.STATUSES, WalletStatus),
        ],
    )
    def test_has_a_word_for_everything(self, table: dict[Any, str], words: Any):
        """Whatever is ours has a word of theirs, and no two have the same."""
        assert set(table) == set(words)
        assert len(set(table.values())) == len(table)


class TestAnAmount:
    @pytest.mark.parametrize(
        ("minor", "currency", "text"),
        [
            (0, "EUR", "0.00"),
            (-5, "EUR", "0.05"),
            (123_456, "EUR", "1234.56"),
            (7, "JPY", "7"),
            (-1_234, "BHD", "1.234"),
        ],
    )
    def test_has_the_decimal_places_of_its_currency(self, minor: int, currency: str, text: str):
        """And no sign, which stands beside it."""
        assert decimal_text(minor, currency) == text


class TestANumber:
    def test_of_britain_is_a_sort_code_too(self):
        """Fourteen digits of a British IBAN; no other country's has them."""
        british = "GB33BUKB20201555555555"
        assert identification_of("wal_1", british) == [
            ("UK.OBIE.SortCodeAccountNumber", "20201555555555"),
            ("UK.OBIE.IBAN", british),
        ]
        assert identification_of("wal_1", "DE89370400440532013000") == [("UK.OBIE.IBAN", "DE89370400440532013000")]
        assert identification_of("wal_1", None) == [("UK.OBIE.Wallet", "wal_1")]


class TestATransaction:
    @pytest.mark.parametrize(
        ("kind", "credit", "debit"),
        [
            *((kind, "RCDT/BOOK", "ICDT/BOOK") for kind in ("transfer", "capture")),
            *((kind, "RCDT/DMCT", "ICDT/DMCT") for kind in ("top_up", "withdrawal", "statement_assignment")),
            *((kind, "ICDT/RRTN", "ICDT/DMCT") for kind in ("payment", "payment.returned")),
            ("reversal", "ICDT/RRTN", "RCDT/RRTN"),
            ("journal_entry", "MCOP/ADJT", "MDOP/ADJT"),
            ("of_other_books", "MCOP/ADJT", "MDOP/ADJT"),
        ],
    )
    def test_has_a_code_for_its_kind_and_side(self, kind: str, credit: str, debit: str):
        """Received or issued, inside or domestic, or taken back; what the bank posts by hand is an adjustment."""
        for minor, side, told in ((500, "Credit", credit), (-500, "Debit", debit)):
            shown = transaction(booking(minor, kind))
            assert shown.credit_debit_indicator == side
            assert code_of(shown) == told

    def test_of_any_kind_that_commands_post_to_wallets_has_one(self):
        """Those without a code move money between the bank's own accounts alone."""
        settling = {"payment.settled", "payment.suspense", "payment.unclaimed"}
        never = settling | {"statement_opening", "statement_break", "statement_suspense"}
        assert set(CODES) == set(get_args(JournalKind)) - never

    def test_that_undoes_an_adjustment_is_one(self):
        """What came back of a transfer is told from what the bank has corrected twice."""
        booked = booking(500, "reversal")
        (shown,) = to_transactions([booked], issuer="x", detail=False, corrections=frozenset({ENTRY}))
        assert code_of(shown) == "MCOP/ADJT"

    def test_has_a_day_of_booking_and_a_value_date(self):
        """When it came into the books, and when it took effect."""
        shown = transaction(booking(500))
        assert (shown.booking_date_time, shown.value_date_time) == (NOW, NOW - timedelta(days=1))

    @pytest.mark.parametrize(("minor", "side"), [(500, "debtor_account"), (-500, "creditor_account")])
    def test_names_its_other_side(self, minor: int, side: str):
        """Who pays stands on the one side, who is paid on the other; what no code is isn't shown."""
        other = OtherSide(OTHER, "DE89370400440532013000", "Shop", "12")
        shown = transaction(booking(minor), other)
        assert getattr(shown, side).identification == "DE89370400440532013000"
        assert getattr(shown.merchant_details, "merchant_name", None) == "Shop"
        assert "12" not in str(shown.merchant_details)


class TestARecord:
    def test_shows_the_creditor_in_detail_alone(self):
        """Whom somebody pays, and by which bank, isn't part of the basics."""
        rent = Beneficiary(creditor=GRACE)
        order = StandingOrder(creditor=GRACE, frequency=Frequency.MONTHLY, category_purpose="SUPP")
        payment = ScheduledPayment(scheduled_at=NOW, amount=Money(5, "EUR"), creditor=GRACE, type=ScheduleType.ARRIVAL)
        shown: list[Any] = [
            (records.to_beneficiary(row(rent), rent, detail=detail) for detail in (False, True)),
            (records.to_standing_order(row(order), order, detail=detail) for detail in (False, True)),
            (records.to_scheduled_payment(row(payment), payment, detail=detail) for detail in (False, True)),
        ]
        for little, much in shown:
            assert GERMAN not in str(little)
            assert (much.creditor_account.identification, much.creditor_agent.identification) == (GERMAN, GRACE.bic)

    def test_tells_no_purpose_that_the_standard_does_not_know(self):
        """A code of the bank's own is left out."""
        for purpose, told in (("SUPP", True), ("XXXX", False)):
            terms = DirectDebit(name="x", mandate_id="1", frequency=Frequency.WEEKLY, category_purpose=purpose)
            shown = records.to_direct_debit(row(terms), terms)
            assert (purpose in str(shown)) is told
            assert shown.direct_debit_status_code == "SUSP"


class TestAConsentsReach:
    def test_is_narrowed_by_what_is_asked(self):
        """The later beginning and the earlier end count."""
        reach = consent(from_=NOW, to=NOW + timedelta(days=9))
        day = timedelta(days=1)
        assert rules.bounds(reach, None, None) == (NOW, NOW + 9 * day)
        assert rules.bounds(reach, NOW - day, NOW + 99 * day) == (NOW, NOW + 9 * day)
        assert rules.bounds(reach, NOW + day, NOW + 2 * day) == (NOW + day, NOW + 2 * day)
        assert rules.is_within(reach, NOW, NOW + 9 * day)
        assert not rules.is_within(reach, NOW - day, NOW + day)
        assert not rules.is_within(reach, NOW, NOW + 10 * day)

    def test_is_one_side_or_both(self):
        """Each has a permission of its own; without either there is nothing to show."""
        credit, debit = "ReadTransactionsCredits", "ReadTransactionsDebits"
        assert [rules.side_of(each) for each in ({credit}, {debit}, {credit, debit})] == ["credit", "debit", None]
        with pytest.raises(errors.ConsentLacksPermission):
            rules.side_of({"ReadTransactionsDetail"})


class TestAFilesKind:
    OFFERS = ("application/json", "application/pdf", "text/csv")

    @pytest.mark.parametrize(
        ("accept", "chosen"),
        [
            (None, "application/json"),
            ("*/*", "application/json"),
            ("text/*", "text/csv"),
            ("application/pdf, */*;q=0.1", "application/pdf"),
            ("application/json;q=0, application/*", "application/pdf"),
            ("application/json;q=0.2, text/csv;q=0.3", "text/csv"),
        ],
    )
    def test_is_what_is_wanted_most(self, accept: str | None, chosen: str):
        """The narrowest range that fits says how much (RFC 9110, section 12.5.1)."""
        assert accepted(accept, self.OFFERS) == chosen

    @pytest.mark.parametrize("accept", ["image/png", "*/*;q=0", "nonsense", ""])
    def test_is_refused_where_none_is_wanted(self, accept: str):
        """Nothing else is made."""
        with pytest.raises(errors.NotAcceptable):
            accepted(accept, self.OFFERS)
