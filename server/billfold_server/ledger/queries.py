"""The ledger's SQL on the readers' side: accounts, entries, holds, statements and balances as of any time.

Lists are keyset pages, newest first: ``before`` is the key of the last row of the page before.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from billfold import ids
from billfold.chain import StoredLink
from billfold.contract.ledger import AccountType
from billfold_server.db.filters import Filter
from billfold_server.ledger.reading import UnreadableError, check_row, shape_of
from billfold_server.ledger.rows import AccountRow, EntryRow, HoldRow
from billfold_server.ledger.stores import (
    ACCOUNT_COLUMNS,
    ENTRY_COLUMNS,
    HOLD_COLUMNS,
    to_account,
    to_hold,
    with_postings,
)
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "HeadRow",
    "balances_as_of",
    "find_account",
    "find_entries",
    "find_entry",
    "find_hold",
    "find_link_of",
    "get_head",
    "get_links",
    "list_accounts",
    "list_entries",
    "list_holds",
    "list_statement",
    "list_wallet_accounts",
    "reversed_so_far",
]


# S608 below: the texts are made of this module's constants and numbered parameters only.


async def find_account(tx: TenantTx, account_id: UUID) -> AccountRow | None:
    """Return an account, or None."""
    row = await tx.fetchrow(f"SELECT {ACCOUNT_COLUMNS} FROM accounts AS a WHERE a.id = $1", account_id)  # noqa: S608
    return None if row is None else to_account(row)


async def list_wallet_accounts(tx: TenantTx, wallet_ids: Sequence[UUID]) -> list[AccountRow]:
    """Return all accounts of these wallets, by currency."""
    rows = await tx.fetch(
        f"SELECT {ACCOUNT_COLUMNS} FROM accounts AS a WHERE a.wallet_id = ANY($1::uuid[]) ORDER BY a.currency",  # noqa: S608
        list(wallet_ids),
    )
    return [to_account(row) for row in rows]


async def list_accounts(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None = None,
    code: str | None = None,
    type: str | None = None,
    currency: str | None = None,
) -> list[AccountRow]:
    """Return accounts, newest first."""
    where = Filter()
    where.add("a.code = $", code)
    where.add_word("a.type", type)
    if type is not None and type != AccountType.LIABILITY:
        # Wallets' accounts are liabilities. The others are the bank's own, which are few, and all have a code.
        where.add("a.code IS NOT NULL")
    where.add("a.currency = $", currency)
    where.add("a.id < $", before)
    rows = await tx.fetch(
        f"SELECT {ACCOUNT_COLUMNS} FROM accounts AS a WHERE {where} ORDER BY a.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )
    return [to_account(row) for row in rows]


async def find_entry(tx: TenantTx, entry_id: UUID) -> EntryRow | None:
    """Return a journal entry with its postings, or None."""
    heads = await tx.fetch(f"SELECT {ENTRY_COLUMNS} FROM journal_entries AS j WHERE j.id = $1", entry_id)  # noqa: S608
    return (await with_postings(tx, heads))[0] if heads else None


async def find_entries(tx: TenantTx, entry_ids: Sequence[UUID]) -> list[EntryRow]:
    """Return which of these ids are journal entries, with the entries and their postings."""
    sql = f"SELECT {ENTRY_COLUMNS} FROM journal_entries AS j WHERE j.id = ANY($1::uuid[])"  # noqa: S608
    return await with_postings(tx, await tx.fetch(sql, list(entry_ids)))


async def list_entries(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None = None,
    account_id: UUID | None = None,
    kind: str | None = None,
    from_: datetime | None = None,
    to: datetime | None = None,
) -> tuple[list[EntryRow], UUID | None]:
    """Return journal entries with their postings, newest first; ``from_`` and ``to`` bound the effective time.

    Of an account's, those of a kind are picked from so many of all kinds at most; what is returned beside them is the
    last that was looked at where that was all.
    """

    async def heads(place: UUID | None, limit: int) -> list[asyncpg.Record]:
        led = None if account_id is not None else kind
        return await _list_heads(tx, limit=limit, before=place, account_id=account_id, kind=led, from_=from_, to=to)

    if account_id is None or kind is None:
        return await with_postings(tx, await heads(before, limit)), None
    found, further = await _pick(heads, kind, before, limit, place_of=lambda row: row["id"])
    return await with_postings(tx, found), further


_MOST_LOOKED_AT: Final = 2_000
"""How many postings or entries are looked at for a page of one kind at most, so that what it costs has an end."""
_FIRST_LOOK: Final = 3
"""For how many pages are looked at first for one of a kind, which is enough where kinds take turns."""

P = TypeVar("P")


async def _pick(
    read: Callable[[P | None, int], Awaitable[list[asyncpg.Record]]],
    kind: str,
    place: P | None,
    limit: int,
    *,
    place_of: Callable[[asyncpg.Record], P],
) -> tuple[list[asyncpg.Record], P | None]:
    """Return the newest rows of a kind behind a place, and the place where to go on if not all were looked at."""
    picked: list[asyncpg.Record] = []
    looked, window = 0, min(_FIRST_LOOK * limit, _MOST_LOOKED_AT)
    while True:
        rows = await read(place, window)
        picked += [row for row in rows if row["kind"] == kind]
        if len(picked) >= limit or len(rows) < window:
            return picked[:limit], None
        looked, place = looked + window, place_of(rows[-1])
        if looked >= _MOST_LOOKED_AT:
            return picked, place
        window = min(2 * window, _MOST_LOOKED_AT - looked)


async def _list_heads(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None,
    account_id: UUID | None,
    kind: str | None,
    from_: datetime | None,
    to: datetime | None,
) -> list[asyncpg.Record]:
    where = Filter()
    place = "j.id"
    if account_id is None:
        source, late = "journal_entries AS j", _LATE_ENTRIES
        if kind in _MOVED:
            place, source, late = "own.id", _MOVED_ENTRIES, _MOVED_LATE
            where.values.append(kind)
        else:
            where.add("j.kind = $", kind)
            if kind is not None:
                where.add(_NOT_MOVED)
    else:
        place = "own.entry_id"
        # The account's own postings lead, so that an account that rests is found as fast as one that doesn't.
        source, late = _OF_ACCOUNT, _LATE_OF_ACCOUNT
        where.values.append(account_id)
    where.add("j.effective_at >= $", from_)
    since = "TRUE" if from_ is None else f"j.effective_at >= ${len(where.values)}"
    where.add(f"{place} < $", before)
    if from_ is not None:
        where.add(f"{place} > {_PLACE}", from_)
    spans = [(source, "TRUE")]
    if to is not None:
        where.add("j.effective_at < $", to)
        end = f"${len(where.values)}"
        before_it = _PLACE.replace("$", end)
        late = late.replace("{end}", end).replace("{since}", since)
        spans = [
            (source, f"{place} <= {before_it}"),
            (late, f"{place} > {before_it} AND j.effective_at < j.effective_high"),
        ]
    newest = " UNION ALL ".join(
        f"(SELECT {ENTRY_COLUMNS} FROM {each} WHERE {where} AND {span} ORDER BY {place} DESC LIMIT {limit:d})"  # noqa: S608
        for each, span in spans
    )
    return await tx.fetch(
        f"SELECT {ENTRY_COLUMNS} FROM ({newest}) AS j ORDER BY j.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )


# Entries are in the order in which they were recorded, and ``effective_high`` only rises. So a time has a place: after
# the last entry up to which nothing took effect at or after it. What took effect since stands behind that place; what
# took effect before stands there, too, or is late.
_PLACE: Final = """
    coalesce((
        SELECT h.id FROM journal_entries AS h WHERE h.effective_high < $
        ORDER BY h.effective_high DESC, h.id DESC LIMIT 1), '00000000-0000-0000-0000-000000000000'::uuid)
"""
# Those that stand in ``transfers``, too, whose key begins with the kind; only the others have an index by kind.
_MOVED: Final = ("transfer", "top_up", "withdrawal")
_NOT_MOVED: Final = "j.kind <> ALL ('{transfer,top_up,withdrawal}'::text[])"
# Transfers stay when their months leave, and what is older than the journal isn't looked for in it. OFFSET keeps the
# planner from reading months of entries beside the page.
_MOVED_ENTRIES: Final = f"""
    (SELECT t.id FROM transfers AS t
     WHERE t.kind = $1 AND t.id > coalesce(
        (SELECT c.entry_id FROM ledger_checkpoints AS c ORDER BY c.number DESC LIMIT 1),
        '00000000-0000-0000-0000-000000000000'::uuid)) AS own
    CROSS JOIN LATERAL (SELECT {ENTRY_COLUMNS} FROM journal_entries AS j WHERE j.id = own.id OFFSET 0) AS j"""  # noqa: S608 - constants
# What is late has an index of its own, by when it took effect. How little that is, statistics don't tell: without
# OFFSET the planner may look through all that was recorded since.
_LATE_ENTRIES: Final = f"""
    (SELECT {ENTRY_COLUMNS} FROM journal_entries AS j
     WHERE j.effective_at < j.effective_high AND j.effective_at < {{end}} AND {{since}}
     ORDER BY j.effective_at DESC OFFSET 0) AS j"""  # noqa: S608 - constants
_MOVED_LATE: Final = f"{_LATE_ENTRIES} CROSS JOIN LATERAL (SELECT j.id WHERE j.kind = $1) AS own"


async def reversed_so_far(tx: TenantTx, entry_id: UUID) -> int:
    """Return how much of a journal entry has been undone, in minor units."""
    found: int | None = await tx.fetchval("SELECT reversed_minor FROM reversals WHERE journal_entry_id = $1", entry_id)
    return found or 0


async def find_hold(tx: TenantTx, hold_id: UUID) -> HoldRow | None:
    """Return a hold, or None."""
    row = await tx.fetchrow(f"SELECT {HOLD_COLUMNS} FROM holds AS h WHERE h.id = $1", hold_id)  # noqa: S608
    return None if row is None else to_hold(row)


async def list_holds(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None = None,
    wallet_id: UUID | None = None,
    status: str | None = None,
) -> list[HoldRow]:
    """Return holds, newest first."""
    where = Filter()
    where.add("h.wallet_id = $", wallet_id)
    where.add_word("h.status", status)
    where.add("h.id < $", before)
    rows = await tx.fetch(
        f"SELECT {HOLD_COLUMNS} FROM holds AS h WHERE {where} ORDER BY h.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )
    return [to_hold(row) for row in rows]


async def list_statement(
    tx: TenantTx,
    account_ids: Sequence[UUID],
    *,
    limit: int,
    before: tuple[UUID, int] | None = None,
    kind: str | None = None,
    from_: datetime | None = None,
    to: datetime | None = None,
) -> tuple[list[asyncpg.Record], tuple[UUID, int] | None]:
    """Return postings of these accounts with what their entries say, newest first.

    ``before`` is the entry's id and the line of the last posting of the page before. Those of a kind are picked from so
    many of all kinds at most; what is returned beside them is the last that was looked at where that was all.
    """

    async def lines(place: tuple[UUID, int] | None, limit: int) -> list[asyncpg.Record]:
        return await _list_lines(tx, account_ids, limit=limit, before=place, from_=from_, to=to)

    if kind is None:
        return await lines(before, limit), None
    return await _pick(lines, kind, before, limit, place_of=lambda row: (row["id"], row["line"]))


async def _list_lines(
    tx: TenantTx,
    account_ids: Sequence[UUID],
    *,
    limit: int,
    before: tuple[UUID, int] | None,
    from_: datetime | None,
    to: datetime | None,
) -> list[asyncpg.Record]:
    where = Filter()
    where.values.append(list(account_ids))
    where.add("p.effective_at >= $", from_)
    if from_ is not None:
        where.add(f"p.entry_id > {_PLACE}", from_)
    if before is not None:
        # The first condition says nothing new; by it the later months are left out.
        where.add("p.entry_id <= $", before[0])
        where.add("(p.entry_id, p.line) < ($, $)", *before)
    spans = [("postings AS p", "TRUE")]
    if to is not None:
        where.add("p.effective_at < $", to)
        end = f"${len(where.values)}"
        place = _PLACE.replace("$", end)
        spans = [
            ("postings AS p", f"p.entry_id <= {place}"),
            (_LATE, f"p.entry_id > {place} AND {_NOT_EARLIER.format(end=end)}"),
        ]
    # Each account has an index whose end is the newest. One query over several would read the journal backwards until
    # it has met enough of theirs, and for an account that rests that is all of it. OFFSET keeps the planner from
    # reading the months' entries beside it, in the same order.
    newest = " UNION ALL ".join(
        f"""(
            SELECT p.entry_id, p.line, p.account_id, p.amount_minor, p.currency, p.posted_after_minor, p.effective_at,
                j.sequence, j.recorded_at, j.kind, j.description
            FROM {source}
            CROSS JOIN LATERAL (
                SELECT j.sequence, j.recorded_at, j.kind, j.description
                FROM journal_entries AS j WHERE j.id = p.entry_id OFFSET 0) AS j
            WHERE p.account_id = w.account_id AND {where} AND {span}
            ORDER BY p.entry_id DESC, p.line DESC LIMIT {limit:d})"""  # noqa: S608
        for source, span in spans
    )
    return await tx.fetch(
        f"""
        SELECT p.sequence, p.line, p.account_id, a.normal_side, p.amount_minor, p.currency, p.posted_after_minor,
            p.effective_at, p.recorded_at, p.entry_id AS id, p.kind, p.description
        FROM unnest($1::uuid[]) AS w (account_id)
        JOIN accounts AS a ON a.id = w.account_id
        CROSS JOIN LATERAL ({newest}) AS p
        ORDER BY p.entry_id DESC, p.line DESC LIMIT {limit:d}
        """,  # noqa: S608
        *where.values,
    )


# Late postings by how late they are. Each class is searched as far back as it can reach, and no further.
_LATE: Final = "generate_series(0, 35) AS late (class) JOIN postings AS p ON p.late_class = late.class"
_NOT_EARLIER: Final = (
    "(late.class = 35 OR p.effective_at > {end}::timestamptz - interval '2 seconds' * (1::bigint << late.class))"
)
# An account's own postings lead, so that an account that rests is found as fast as one that doesn't.
_OF_ACCOUNT: Final = (
    "(SELECT DISTINCT p.entry_id FROM postings AS p WHERE p.account_id = $1 ORDER BY p.entry_id DESC) AS own "  # noqa: S608 - constants
    f"CROSS JOIN LATERAL (SELECT {ENTRY_COLUMNS} FROM journal_entries AS j WHERE j.id = own.entry_id OFFSET 0) AS j"
)
_LATE_OF_ACCOUNT: Final = (
    f"(SELECT DISTINCT p.entry_id FROM {_LATE} AND p.account_id = $1 AND p.effective_at < {{end}} "  # noqa: S608 - constants
    f"AND {_NOT_EARLIER} OFFSET 0) AS own JOIN journal_entries AS j ON j.id = own.entry_id"
)
_AS_OF: Final = f"""
    WITH mark AS (
        SELECT c.entry_id, c.effective_high FROM ledger_checkpoints AS c ORDER BY c.number DESC LIMIT 1),
    place AS MATERIALIZED (
        SELECT
            coalesce(
                (SELECT j.id FROM journal_entries AS j WHERE j.effective_high <= $2
                 ORDER BY j.effective_high DESC, j.id DESC LIMIT 1),
                (SELECT mark.entry_id FROM mark)) AS entry,
            EXISTS (SELECT FROM mark WHERE mark.effective_high > $2 OR mark.entry_id > $3) AS detached,
            least($4::timestamptz, (
                SELECT m.recorded_at FROM hold_movements AS m WHERE m.effective_at <= $2
                ORDER BY m.effective_at DESC, m.recorded_at DESC LIMIT 1)) AS movement,
            EXISTS (SELECT FROM hold_movements AS m WHERE m.effective_at <= $2) AS moved
    )
    SELECT w.account_id,
        coalesce((
            SELECT p.posted_after_minor FROM postings AS p
            WHERE p.account_id = w.account_id AND p.entry_id <= least(place.entry, $3::uuid) AND place.entry IS NOT NULL
            ORDER BY p.entry_id DESC, p.line DESC LIMIT 1),
            (SELECT b.posted_minor FROM checkpoint_balances AS b WHERE b.account_id = w.account_id), 0)
        + coalesce((
            SELECT sum(p.amount_minor)
            FROM {_LATE} AND p.account_id = w.account_id AND p.effective_at <= $2
                AND {_NOT_EARLIER.format(end="$2")}
            WHERE p.entry_id > coalesce(place.entry, '00000000-0000-0000-0000-000000000000'::uuid)
                AND p.entry_id <= $3), 0) AS posted,
        coalesce((
            SELECT m.pending_after_minor FROM hold_movements AS m
            WHERE m.to_account_id = w.account_id AND m.recorded_at <= place.movement AND place.moved
            ORDER BY m.recorded_at DESC LIMIT 1), 0) AS pending,
        coalesce((
            SELECT m.held_after_minor FROM hold_movements AS m
            WHERE m.account_id = w.account_id AND m.recorded_at <= place.movement AND place.moved
            ORDER BY m.recorded_at DESC LIMIT 1), 0) AS held,
        place.detached
    FROM unnest($1::uuid[]) AS w (account_id) CROSS JOIN place
"""  # noqa: S608 - constants


async def balances_as_of(
    tx: TenantTx, account_ids: Sequence[UUID], *, effective_at: datetime, recorded_at: datetime
) -> dict[UUID, tuple[int, int, int]] | None:
    """Return posted (signed, positive is debit), pending and held balances as of two instants.

    None where one of them lies before the last checkpoint: what it takes to tell has been detached.

    What is counted was recorded by ``recorded_at`` and took effect by ``effective_at``. The posted balance is the
    running balance at the last place up to which nothing took effect later, and what was recorded behind that place but
    took effect before. So what is read is one row and the late postings that straddle the instant, however long the
    history is. Holds are never late: their movements are in the order of both times.
    """
    rows = await tx.fetch(_AS_OF, list(account_ids), effective_at, ids.last_at(recorded_at), recorded_at)
    if any(row["detached"] for row in rows):
        return None
    return {row["account_id"]: (int(row["posted"]), int(row["pending"]), int(row["held"])) for row in rows}


# The chain.


class HeadRow(msgspec.Struct, frozen=True, kw_only=True):
    """The newest link, and how far the journal has come with it."""

    number: int
    hash: bytes
    sequence: int
    recorded_at: datetime


_HEAD: Final = "head"
_HEAD_SHAPE: Final = shape_of(HeadRow)


async def get_head(tx: TenantTx) -> HeadRow:
    """Return the ledger's head.

    Raises:
        UnreadableError: It isn't there, or somebody has taken a value from it.
    """
    rows = await tx.fetch(
        "SELECT h.link AS number, h.hash, h.sequence, h.recorded_at FROM ledger_head AS h WHERE h.id = 1"
    )
    if len(rows) != 1:
        raise UnreadableError(_HEAD, None)
    check_row(_HEAD, rows[0], _HEAD_SHAPE)
    return HeadRow(**dict(rows[0]))


async def find_link_of(tx: TenantTx, recorded_at: datetime) -> StoredLink | None:
    """Return the link that holds what was recorded at an instant: the first that isn't older. None without any."""
    row = await tx.fetchrow(
        """
        SELECT l.number, l.recorded_at, l.leaves, l.hash
        FROM ledger_links AS l WHERE l.recorded_at >= $1 ORDER BY l.recorded_at LIMIT 1
        """,
        recorded_at,
    )
    return None if row is None else StoredLink(**dict(row))


async def get_links(tx: TenantTx, numbers: Sequence[int]) -> dict[int, StoredLink]:
    """Return links by their numbers."""
    rows = await tx.fetch(
        "SELECT l.number, l.recorded_at, l.leaves, l.hash FROM ledger_links AS l WHERE l.number = ANY($1::bigint[])",
        list(numbers),
    )
    return {row["number"]: StoredLink(**dict(row)) for row in rows}
