"""Reads what operations show: each in one transaction with the use of the consent, and opened after it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar, cast
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.arrangements import ArrangementStatus
from billfold.contract.open_banking.accounts import OBAccount6, OBParty2, OBReadBalance1Balance
from billfold.contract.open_banking.products import ProductProduct
from billfold.contract.parties import Party
from billfold.ids import InvalidIdError, Prefix
from billfold_server.account_statements import service as statements
from billfold_server.account_statements.service import StatementRow
from billfold_server.arrangements import service as arrangements
from billfold_server.arrangements.service import ArrangementRow
from billfold_server.db.sets import PLANS
from billfold_server.http.routing import Call
from billfold_server.ledger import service as ledger
from billfold_server.ledger.service import Booking, Span
from billfold_server.open_banking.accounts import rules
from billfold_server.open_banking.accounts.products import to_product
from billfold_server.open_banking.accounts.reading import LIMIT, Page, Place, Reading, begin, cut, paged
from billfold_server.open_banking.accounts.rules import Cluster
from billfold_server.open_banking.accounts.transactions import (
    CAPTURE,
    CORRECTION,
    PAYMENT,
    REVERSAL,
    TOP_UP,
    Paid,
    Transaction,
    creditor_of,
    to_transactions,
    wallet_of,
)
from billfold_server.open_banking.accounts.wallets import AccountFacts, to_account, to_balances, to_party
from billfold_server.parties import service as parties
from billfold_server.payments import service as payments
from billfold_server.payments.service import PaymentRow, Texts
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets import service as wallets
from billfold_server.wallets.service import OtherSide

__all__ = [
    "read_accounts",
    "read_balances",
    "read_file",
    "read_owner",
    "read_products",
    "read_psu",
    "read_records",
    "read_statement",
    "read_statements",
    "read_transactions",
    "read_transactions_of_statement",
]

T = TypeVar("T")

BASE = "/open-banking/v4.0/aisp"


async def _wallets(call: Call, reading: Reading, page: str | None) -> Page[UUID]:
    """Return a page of what may be read, by the wallets' ids."""
    everything = reading.wallet_ids

    async def fetch(place: Place | None, *, backwards: bool) -> tuple[Sequence[UUID], Place | None]:
        at = None if place is None else UUID(str(place[0]))
        if backwards:
            rows = [each for each in everything if at is None or each < at][::-1]
        else:
            rows = [each for each in everything if at is None or each > at]
        return cut(rows[: LIMIT + 1], _place, backwards=backwards)

    return await paged(call, "accounts", page, fetch, _place)


def _place(wallet_id: UUID) -> Place:
    return (str(wallet_id),)


# Accounts, balances, products and owners.


async def read_accounts(call: Call, named: str | None, page: str | None) -> tuple[list[OBAccount6], Page[UUID]]:
    """Return accounts, with their numbers and their owner's name where the consent permits all of it."""
    async with begin(call, rules.ACCOUNTS, named) as (tx, reading):
        shown = await _wallets(call, reading, page)
        found = await wallets.find_wallets(tx, shown.items)
        products = await arrangements.products_of_wallets(tx, shown.items)
        ibans = await wallets.list_ibans(tx, shown.items) if reading.detail else {}
        owner = await parties.get_party(tx, _owner(reading))
    party = (await parties.open_parties(call.services.keys, call.tenant, [owner]))[0] if reading.detail else None
    facts = (
        AccountFacts(wallet=found[each], kind=owner.kind, product=products.get(each), iban=ibans.get(each), owner=party)
        for each in shown.items
    )
    return [to_account(each, detail=reading.detail) for each in facts], shown


def _owner(reading: Reading) -> UUID:
    assert reading.consent.party_id is not None, "who has authorised it"
    return reading.consent.party_id


async def read_balances(
    call: Call, named: str | None, page: str | None
) -> tuple[list[OBReadBalance1Balance], Page[UUID]]:
    """Return what is on accounts now."""
    async with begin(call, rules.BALANCES, named) as (tx, reading):
        shown = await _wallets(call, reading, page)
        accounts = await ledger.list_wallet_accounts(tx, shown.items)
        now = await tenant_now(tx)
    usual = call.tenant.manifest.currencies[0]
    found = [
        balance
        for each in shown.items
        for balance in to_balances(each, [account.to_balance() for account in accounts[each]], usual, now)
    ]
    return found, shown


async def read_products(call: Call, named: str | None, page: str | None) -> tuple[list[ProductProduct], Page[UUID]]:
    """Return the products that accounts are of."""
    async with begin(call, rules.PRODUCTS, named) as (tx, reading):
        shown = await _wallets(call, reading, page)
        products = await arrangements.products_of_wallets(tx, shown.items)
    return [to_product(each, products[each]) for each in shown.items if each in products], shown


async def _party(call: Call, cluster: Cluster, named: str | None) -> Party:
    async with begin(call, cluster, named) as (tx, reading):
        row = await parties.get_party(tx, _owner(reading))
    (party,) = await parties.open_parties(call.services.keys, call.tenant, [row])
    return party


async def read_psu(call: Call) -> OBParty2:
    """Return who has given the consent."""
    return to_party(await _party(call, rules.PARTY_OF_PSU, None))


async def read_owner(call: Call, named: str) -> OBParty2:
    """Return who owns an account."""
    party = await _party(call, rules.PARTY, named)
    return to_party(party, account=(named, f"{call.reached_at}{BASE}/accounts/{named}"))


# What was booked.


async def read_transactions(
    call: Call, named: str | None, page: str | None, from_: datetime | None, to: datetime | None
) -> tuple[list[Transaction], Page[Booking], Span]:
    """Return what was booked, as far as the consent's permissions and dates reach, its page, and how far that is."""
    # All of it is looked up by keys. A plan for each page's own values would take as long as reading the page.
    async with begin(call, rules.TRANSACTIONS, named, begin_sql=PLANS) as (tx, reading):
        span = rules.span_of(reading.consent, from_, to)
        fetch = partial(_bookings, tx, span, of={"wallet_ids": reading.wallet_ids})
        shown = await paged(call, "transactions", page, fetch, _at)
        beside = await _beside(tx, reading, shown.items)
    # What there is to ask for is told whatever was asked for.
    available = rules.span_of(reading.consent, None, None)
    return await _transactions(call, reading, shown.items, beside), shown, available


async def _bookings(
    tx: TenantTx,
    span: Span,
    place: Place | None,
    *,
    backwards: bool,
    of: dict[str, Sequence[UUID]],
) -> tuple[Sequence[Booking], Place | None]:
    at = None if place is None else (UUID(str(place[0])), int(place[1]))
    found, following = await ledger.list_bookings(tx, span=span, limit=LIMIT, place=at, backwards=backwards, **of)
    return found, None if following is None else (str(following[0]), following[1])


def _at(booking: Booking) -> Place:
    return str(booking.entry_id), booking.line


class _Beside(msgspec.Struct, frozen=True):
    """What is known beside what was booked.

    Attributes:
        others: Other sides, each at its booking's place; none where the consent doesn't permit all of it.
        payments: Payments, by the entries that were booked of them.
        corrections: The reversing entries that undo what the bank had posted by hand.
    """

    others: Sequence[OtherSide | None]
    payments: Mapping[UUID, PaymentRow]
    corrections: frozenset[UUID]


_OF_PAYMENTS: Final = frozenset({PAYMENT, "payment.returned", REVERSAL})
"""The kinds of entries that may have been booked of payments which leave the bank."""
_MOVED: Final = frozenset({CAPTURE, REVERSAL})
"""The kinds of entries whose other side is read from their postings."""


async def _beside(tx: TenantTx, reading: Reading, found: Sequence[Booking]) -> _Beside:
    """Return what is shown beside what was booked, in one query each for all of it."""
    entries = [each.entry_id for each in found if each.kind in _OF_PAYMENTS]
    paid = dict(await payments.find_payments_of(tx, entries)) if entries else {}
    came_in = [each.entry_id for each in found if each.kind == TOP_UP]
    if came_in:
        paid |= await payments.find_payments_returned_by(tx, came_in)
    corrections = await _corrections(tx, found)
    if not reading.detail:
        return _Beside((), paid, corrections)
    others = await wallets.list_other_sides(tx, [(wallet_of(each), each.entry_id) for each in found])
    # A payment says itself to whom it goes, and a correction is between the customer and the bank.
    places = [
        place
        for place, each in enumerate(found)
        if each.kind in _MOVED and each.entry_id not in paid and each.entry_id not in corrections
    ]
    if places:
        moved = [(wallet_of(found[place]), found[place].entry_id) for place in places]
        for place, side in zip(places, await wallets.list_moved_sides(tx, moved), strict=True):
            others[place] = side
    return _Beside(others, paid, corrections)


async def _corrections(tx: TenantTx, found: Sequence[Booking]) -> frozenset[UUID]:
    """Return which entries undo what the bank had posted by hand, or what isn't in the ledger any more."""
    reversing = frozenset(each.entry_id for each in found if each.kind == REVERSAL)
    if not reversing:
        return reversing
    kinds = await ledger.list_reversed_kinds(tx, list(reversing))
    return reversing - {entry_id for entry_id, kind in kinds.items() if kind != CORRECTION}


async def _transactions(call: Call, reading: Reading, found: Sequence[Booking], beside: _Beside) -> list[Transaction]:
    """Return transactions, with their other sides where the consent permits all of it, outside of any transaction."""
    texts: Mapping[UUID, Texts] = {}
    if reading.detail and beside.payments:
        texts = await payments.open_texts(call.services, call.tenant, [row.id for row in beside.payments.values()])
    rows = beside.payments
    paid = (
        [_paid(each, rows[each.entry_id], texts) if each.entry_id in rows else None for each in found] if rows else ()
    )
    return to_transactions(
        found,
        issuer=call.tenant.manifest.brand.display_name[:35],
        detail=reading.detail,
        others=beside.others,
        paid=paid,
        corrections=beside.corrections,
    )


def _paid(booking: Booking, row: PaymentRow, texts: Mapping[UUID, Texts]) -> Paid:
    said = texts.get(row.id)
    return Paid(
        returned=booking.entry_id == row.closing_entry_id or booking.kind == TOP_UP,
        reference=row.rail_reference or row.wire_id,
        creditor=None if said is None else creditor_of(said.scheme, said.identification, said.creditor_name),
    )


# What has been arranged.


async def read_records(
    call: Call,
    cluster: Cluster,
    kind: type[T],
    named: str | None,
    page: str | None,
    *,
    statuses: Sequence[ArrangementStatus] = (ArrangementStatus.ACTIVE,),
) -> tuple[list[tuple[ArrangementRow, T]], Page[ArrangementRow], bool]:
    """Return what has been arranged of one kind, opened, and whether all of it may be shown."""
    name = arrangements.KINDS[kind]
    async with begin(call, cluster, named) as (tx, reading):

        async def fetch(place: Place | None, *, backwards: bool) -> tuple[Sequence[ArrangementRow], Place | None]:
            rows = await arrangements.list_of_wallets(
                tx,
                reading.wallet_ids,
                name,
                statuses=statuses,
                limit=LIMIT + 1,
                after=None if place is None else UUID(str(place[0])),
                backwards=backwards,
            )
            return cut(rows, _of_row, backwards=backwards)

        shown = await paged(call, name.value, page, fetch, _of_row)
    opened = await arrangements.open_terms(call.services.keys, call.tenant, shown.items)
    found = [(each.row, cast("T", each.terms)) for each in opened]
    return found, shown, reading.detail


def _of_row(row: ArrangementRow | StatementRow) -> Place:
    return (str(row.id),)


# Statements.


async def read_statements(
    call: Call, named: str | None, page: str | None, from_: datetime | None, to: datetime | None
) -> tuple[Page[StatementRow], bool]:
    """Return statements that lie within the consent's dates, and whether all of them may be shown."""
    async with begin(call, rules.STATEMENTS, named) as (tx, reading):
        begins, ends = rules.bounds(reading.consent, from_, to)

        async def fetch(place: Place | None, *, backwards: bool) -> tuple[Sequence[StatementRow], Place | None]:
            rows = await statements.list_of_wallets(
                tx,
                reading.wallet_ids,
                limit=LIMIT + 1,
                from_=begins,
                to=ends,
                place=None if place is None else UUID(str(place[0])),
                backwards=backwards,
            )
            return cut(rows, _of_row, backwards=backwards)

        shown = await paged(call, "statements", page, fetch, _of_row)
    return shown, reading.detail


async def _statement(tx: TenantTx, reading: Reading, statement_id: str) -> StatementRow:
    """Return a statement of the account, if the consent's dates reach that far.

    Raises:
        errors.NotFound: The account has no such statement, as far as this consent goes.
    """
    unknown = errors.NotFound("there is no such statement", param="StatementId")
    try:
        row = await statements.get_statement(tx, ids.decode(Prefix.ACCOUNT_STATEMENT, statement_id))
    except (InvalidIdError, errors.NotFound):
        raise unknown from None
    if row.wallet_id not in reading.wallet_ids or not rules.is_within(reading.consent, row.starts_at, row.ends_at):
        raise unknown
    return row


async def read_statement(call: Call, named: str, statement_id: str) -> tuple[StatementRow, bool]:
    """Return one statement, and whether all of it may be shown."""
    async with begin(call, rules.STATEMENTS, named) as (tx, reading):
        return await _statement(tx, reading, statement_id), reading.detail


async def read_file(call: Call, named: str, statement_id: str) -> statements.StatementFile:
    """Return what a statement's file says, which takes permission for all of it.

    Raises:
        errors.EndpointNotOffered: The statement has too many entries for a file.
    """
    async with begin(call, rules.STATEMENTS, named) as (tx, reading):
        rules.STATEMENTS.require_detail(reading.consent.permissions)
        row = await _statement(tx, reading, statement_id)
    try:
        return await statements.read_file(call.tx, call.services.keys, call.tenant, row)
    except errors.NotFound:
        raise errors.EndpointNotOffered from None


async def read_transactions_of_statement(
    call: Call, named: str, statement_id: str, page: str | None
) -> tuple[list[Transaction], Page[Booking]]:
    """Return the transactions of a statement, which takes permission for both."""
    async with begin(call, rules.TRANSACTIONS, named, begin_sql=PLANS) as (tx, reading):
        rules.STATEMENTS.require(reading.consent.permissions)
        row = await _statement(tx, reading, statement_id)
        side = rules.side_of(reading.consent.permissions)
        span = Span(behind=row.behind, until=row.until, side=side)
        fetch = partial(_bookings, tx, span, of={"account_ids": [row.account_id]})
        shown = await paged(call, "statement-transactions", page, fetch, _at)
        beside = await _beside(tx, reading, shown.items)
    return await _transactions(call, reading, shown.items, beside), shown
