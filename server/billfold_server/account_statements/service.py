"""Account statements as other rooms and the HTTP edge know them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final
from uuid import UUID

from billfold import errors, ids
from billfold.contract.events import ACCOUNT_STATEMENTS_MADE, AccountStatementsEventData
from billfold.ids import Prefix
from billfold_server.account_statements import queries, rules
from billfold_server.account_statements.files import CSV, PDF, StatementFile, to_csv, to_pdf
from billfold_server.account_statements.rows import MonthRow, StatementRow
from billfold_server.audit import service as audit
from billfold_server.db.outbox import emit, new_event
from billfold_server.keys.service import Keys
from billfold_server.ledger import service as ledger
from billfold_server.parties import service as parties
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets import service as wallets

__all__ = [
    "CSV",
    "PDF",
    "StatementFile",
    "StatementRow",
    "get_statement",
    "list_of_wallets",
    "list_statements",
    "made_until",
    "make_due",
    "read_file",
    "to_csv",
    "to_pdf",
]

_ACCOUNTS: Final = 1_000
_NOTHING: Final = UUID(int=0)

Transaction = Callable[[], AbstractAsyncContextManager[TenantTx]]


# Making.


async def make_due(transaction: Transaction, caller: Caller, *, accounts: int = _ACCOUNTS) -> int:
    """Make the statements of all months that have passed, and return how many were made.

    Each set of accounts is a transaction of its own, so what was made stays made; who goes on after a failure, or does
    it at the same time, makes none twice.

    Args:
        transaction: Opens the tenant's transaction.
        caller: In whose name.
        accounts: How many accounts at a time.
    """
    made = 0
    while (month := await _next_month(transaction)) is not None:
        made += await _make_month(transaction, caller, month, accounts)
    return made


async def made_until(transaction: Transaction, caller: Caller) -> UUID:
    """Make what is due, and return the last entry that statements are made of; the nil UUID where there is none.

    Args:
        transaction: Opens the tenant's transaction.
        caller: In whose name.
    """
    await make_due(transaction, caller)
    async with transaction() as tx:
        return await queries.made_until(tx) or _NOTHING


async def _next_month(transaction: Transaction) -> MonthRow | None:
    """Return the month whose statements are to be made now, or None."""
    async with transaction() as tx:
        last = await queries.last_month(tx)
        if last is not None and last.made_at is None:
            return last
        begins = (await ledger.first_booked_at(tx)) if last is None else last.ends_at
        if begins is None:
            return None
        starts_at = rules.month_of(begins)
        ends_at = rules.month_after(starts_at)
        if ends_at > await tenant_now(tx):
            return None
        behind = _NOTHING if last is None else last.until
        until = max(behind, await ledger.place_before(tx, ends_at))
        month = MonthRow(starts_at, ends_at, behind, until, None)
        if await queries.begin_month(tx, month):
            return month
        # The first month has none before it to be locked, and who has begun it may have seen fewer entries.
        return await queries.last_month(tx)


async def _make_month(transaction: Transaction, caller: Caller, month: MonthRow, accounts: int) -> int:
    made, more = 0, month.until > month.behind
    async with transaction() as tx:
        after = await queries.last_account(tx, month.starts_at)
        # Whoever has made these hasn't come to tell of them.
        before = 0 if after is None else await queries.count(tx, month.starts_at)
    while more:
        async with transaction() as tx:
            found = await ledger.list_turnovers(tx, month.behind, month.until, after=after, limit=accounts)
            now = await tenant_now(tx)
            rows = [_statement(month, each, now) for each in found if each.entries]
            await queries.insert(tx, rows)
        made += len(rows)
        more = len(found) == accounts
        after = found[-1].account_id if found else None
    async with transaction() as tx:
        now = await tenant_now(tx)
        if await queries.finish_month(tx, month.starts_at, now) and before + made:
            await _tell(tx, caller, month, before + made, now)
    return made


def _statement(month: MonthRow, turnover: ledger.Turnover, now: datetime) -> StatementRow:
    """Return a month's statement of an account, on the side of the wallet's owner."""
    return StatementRow(
        id=ids.uuid7(),
        wallet_id=turnover.wallet_id,
        account_id=turnover.account_id,
        currency=turnover.currency,
        starts_at=month.starts_at,
        ends_at=month.ends_at,
        behind=month.behind,
        until=month.until,
        # A wallet is a liability of the books, so what is its owner's stands on the credit side.
        opening_minor=-turnover.opening_minor,
        closing_minor=-turnover.closing_minor,
        credits_minor=turnover.credits_minor,
        debits_minor=turnover.debits_minor,
        entries=turnover.entries,
        created_at=now,
    )


async def _tell(tx: TenantTx, caller: Caller, month: MonthRow, made: int, now: datetime) -> None:
    """Emit one event, and record one audit record, of all statements of a month."""
    month_name = f"{month.starts_at:%Y-%m}"
    facts = {"month": month_name, "statements": made}
    named = ids.encode(Prefix.TENANT, tx.tenant.id)
    data = AccountStatementsEventData(month=month_name, statements=made)
    await emit(tx, new_event(ACCOUNT_STATEMENTS_MADE, named, data, now))
    await audit.record(tx, audit.new_record(caller, ACCOUNT_STATEMENTS_MADE.name, named, facts=facts))


# Reading.


async def get_statement(tx: TenantTx, statement_id: UUID) -> StatementRow:
    """Return a statement.

    Raises:
        errors.NotFound: There is none.
    """
    row = await queries.find(tx, statement_id)
    if row is None:
        raise errors.NotFound("there is no such statement", param="account_statement_id")
    return row


async def list_statements(
    tx: TenantTx, *, limit: int, before: UUID | None = None, wallet_id: UUID | None = None
) -> list[StatementRow]:
    """Return statements, newest first."""
    return await queries.list_page(tx, limit=limit, before=before, wallet_id=wallet_id)


async def list_of_wallets(
    tx: TenantTx,
    wallet_ids: Sequence[UUID],
    *,
    limit: int,
    from_: datetime | None = None,
    to: datetime | None = None,
    place: UUID | None = None,
    backwards: bool = False,
) -> list[StatementRow]:
    """Return statements of some wallets whose time lies between two instants, newest first.

    Args:
        tx: The tenant's transaction.
        wallet_ids: Whose.
        limit: How many at most.
        from_: They begin at this instant or later.
        to: They end at this instant or earlier.
        place: The statement behind which to go on.
        backwards: Whether to go on before it instead, the nearest first.
    """
    return await queries.list_of_wallets(
        tx, wallet_ids, from_=from_, to=to, limit=limit, place=place, backwards=backwards
    )


async def read_file(transaction: Transaction, keys: Keys, tenant: TenantRef, row: StatementRow) -> StatementFile:
    """Return what a statement's file says; ``to_csv`` and ``to_pdf`` make the file.

    Raises:
        errors.NotFound: The statement has too many entries for a file, which are read page by page; or they have left
            the ledger.
        errors.KeysUnavailable: The holder's name can't be opened now.
    """
    if row.entries > rules.FILE_ENTRIES:
        raise errors.NotFound("a statement of so many entries has no file", param="account_statement_id")
    span = ledger.Span(behind=row.behind, until=row.until)
    async with transaction() as tx:
        lines, _ = await ledger.list_bookings(tx, account_ids=[row.account_id], span=span, limit=rules.FILE_ENTRIES)
        wallet = await wallets.get_wallet(tx, row.wallet_id)
        ibans = await wallets.list_ibans(tx, [row.wallet_id])
        holder = await parties.get_party(tx, wallet.party_id)
    if len(lines) < row.entries:
        raise errors.NotFound("the statement's entries have left the ledger", param="account_statement_id")
    (party,) = await parties.open_parties(keys, tenant, [holder])
    return StatementFile(
        brand=tenant.manifest.brand.display_name,
        holder=party.name,
        account=ibans.get(row.wallet_id, wallet.wire_id),
        statement=row,
        lines=lines[::-1],
    )
