"""What was booked to accounts, in the order of booking, as statements and open banking show it.

An entry has two times on the tenant's clock: when it took effect, which may lie back, and when it was booked. The
latter is the latest time at which it or any entry before it took effect (``effective_high``), which only rises along
the journal: so a span of booking times is a span of the journal, running balances follow from line to line, and an
entry that comes late is in the span in which it came (ADR 30).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from billfold_server.db.filters import Filter
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "Booking",
    "Place",
    "Span",
    "Turnover",
    "first_booked_at",
    "list_bookings",
    "list_reversed_kinds",
    "list_turnovers",
    "place_before",
]

Place = tuple[UUID, int]
"""Where a posting stands in the journal: its entry and its line."""

# S608 below: the texts are made of this module's constants and numbered parameters only.


class Booking(msgspec.Struct, frozen=True):
    """One posting with what its entry says. Amounts are as the books have them: positive is debit.

    Attributes:
        wallet_id: The wallet whose account it is, where it is one's.
    """

    entry_id: UUID
    line: int
    account_id: UUID
    wallet_id: UUID | None
    amount_minor: int
    currency: str
    posted_after_minor: int
    effective_at: datetime
    booked_at: datetime
    kind: str
    description: str | None

    @property
    def place(self) -> Place:
        """Where it stands in the journal."""
        return self.entry_id, self.line


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the journal is looked at. Both times, and both entries, belong to it.

    Attributes:
        from_: Booked at this time or later.
        to: Booked at this time or earlier.
        behind: Only what stands behind this entry.
        until: Only what stands at this entry or before it.
        side: Only credits, or only debits, as the books have them.
    """

    from_: datetime | None = None
    to: datetime | None = None
    behind: UUID | None = None
    until: UUID | None = None
    side: Literal["credit", "debit"] | None = None


# The last entry that was booked before a time, and the last one that was booked by then.
_NOTHING: Final = "'00000000-0000-0000-0000-000000000000'::uuid"
_BEFORE: Final = f"""
    coalesce((
        SELECT h.id FROM journal_entries AS h WHERE h.effective_high < $
        ORDER BY h.effective_high DESC, h.id DESC LIMIT 1), {_NOTHING})
"""  # noqa: S608 - constants
_BY: Final = _BEFORE.replace("effective_high < $", "effective_high <= $")
_SIDES: Final = {"credit": "s.amount_minor < 0", "debit": "s.amount_minor > 0"}
_SCAN: Final = 2_000
"""How many postings are looked at for a page of one side at most, so that what it costs has an end."""
_FIRST_LOOK: Final = 3
"""For how many pages are looked at first for one of one side, which is enough where sides take turns."""


def _conditions(span: Span, place: Place | None, *, backwards: bool) -> Filter:
    where = Filter()
    where.add(f"p.entry_id > {_BEFORE}", span.from_)
    where.add(f"p.entry_id <= {_BY}", span.to)
    where.add("p.entry_id > $", span.behind)
    where.add("p.entry_id <= $", span.until)
    if place is not None:
        # The first condition says nothing new; by it months are left out.
        where.add("p.entry_id >= $" if backwards else "p.entry_id <= $", place[0])
        where.add("(p.entry_id, p.line) > ($, $)" if backwards else "(p.entry_id, p.line) < ($, $)", *place)
    return where


# Each account has an index whose end is the newest; what entries say is read for the page alone. OFFSET keeps the
# planner from reading the months' entries beside it.
_LIST: Final = """
    WITH seen AS MATERIALIZED (
        SELECT p.entry_id, p.line, a.id AS account_id, a.wallet_id, p.amount_minor, p.currency, p.posted_after_minor,
            p.effective_at, row_number() OVER (ORDER BY p.entry_id {order}, p.line {order}) AS number
        FROM accounts AS a
        CROSS JOIN LATERAL (
            SELECT p.entry_id, p.line, p.amount_minor, p.currency, p.posted_after_minor, p.effective_at
            FROM postings AS p WHERE p.account_id = a.id AND {where}
            ORDER BY p.entry_id {order}, p.line {order} LIMIT {seen:d}) AS p
        WHERE a.{whose} = ANY(${accounts:d}::uuid[])
        ORDER BY p.entry_id {order}, p.line {order} LIMIT {seen:d}
    ), chosen AS (
        SELECT s.entry_id, s.line, s.account_id, s.wallet_id, s.amount_minor, s.currency, s.posted_after_minor,
            s.effective_at, s.number
        FROM seen AS s WHERE {side} OR s.number = {seen:d}
        ORDER BY s.number LIMIT {limit:d})
    SELECT s.entry_id, s.line, s.account_id, s.wallet_id, s.amount_minor, s.currency, s.posted_after_minor,
        s.effective_at, j.effective_high AS booked_at, j.kind, j.description, s.number
    FROM chosen AS s
    CROSS JOIN LATERAL (
        SELECT j.effective_high, j.kind, j.description
        FROM journal_entries AS j WHERE j.id = s.entry_id OFFSET 0) AS j
    ORDER BY s.number
"""


async def list_bookings(
    tx: TenantTx,
    *,
    account_ids: Sequence[UUID] = (),
    wallet_ids: Sequence[UUID] = (),
    span: Span,
    limit: int,
    place: Place | None = None,
    backwards: bool = False,
) -> tuple[list[Booking], Place | None]:
    """Return what was booked to accounts, the newest first, and where to go on where there is more.

    A page of one side alone may be shorter than its limit though there is more: it ends where enough was looked at.

    Args:
        tx: The tenant's transaction.
        account_ids: Which accounts.
        wallet_ids: Or all accounts of which wallets.
        span: Which part of the journal.
        limit: How many at most.
        place: The posting behind which to go on; older ones follow, or newer ones.
        backwards: Whether newer ones follow, the nearest first.
    """
    shown: list[Booking] = []
    looked, window = 0, limit + 1
    if span.side is not None:
        window = min(_FIRST_LOOK * window, _SCAN)
    while True:
        where = _conditions(span, place, backwards=backwards)
        where.values.append(list(account_ids or wallet_ids))
        sql = _LIST.format(
            where=where,
            order="ASC" if backwards else "DESC",
            seen=window,
            whose="id" if account_ids else "wallet_id",
            accounts=len(where.values),
            side="TRUE" if span.side is None else _SIDES[span.side],
            limit=limit + 1 - len(shown),
        )
        rows = await tx.fetch(sql, *where.values)
        found = [Booking(*row[:-1]) for row in rows]
        shown += found if span.side is None else [each for each in found if _is_of(span, each)]
        if len(shown) > limit:
            shown, place = shown[:limit], shown[limit - 1].place
            break
        looked += window
        # The last that was looked at marks the place to go on, whether it is of the side or not.
        place = found[-1].place if rows and rows[-1]["number"] == window else None
        if place is None or looked >= _SCAN:
            break
        window = min(2 * window, _SCAN - looked)
    return (shown[::-1] if backwards else shown), place


def _is_of(span: Span, booking: Booking) -> bool:
    return (booking.amount_minor < 0) is (span.side == "credit")


_REVERSED_KINDS: Final = """
    SELECT n.entry_id, o.kind FROM unnest($1::uuid[]) AS n (entry_id)
    CROSS JOIN LATERAL (SELECT j.reverses FROM journal_entries AS j WHERE j.id = n.entry_id OFFSET 0) AS j
    CROSS JOIN LATERAL (SELECT o.kind FROM journal_entries AS o WHERE o.id = j.reverses OFFSET 0) AS o
"""


async def list_reversed_kinds(tx: TenantTx, entry_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return of which kind the entries are that these reversing ones undo, as far as they are still in the ledger."""
    rows = await tx.fetch(_REVERSED_KINDS, list(entry_ids))
    return {row["entry_id"]: row["kind"] for row in rows}


async def place_before(tx: TenantTx, instant: datetime) -> UUID:
    """Return the last entry that was booked before a time; the nil UUID where there is none."""
    found: UUID = await tx.fetchval(f"SELECT {_BEFORE.replace('$', '$1')}", instant)
    return found


class Turnover(msgspec.Struct, frozen=True):
    """What was booked to a wallet's account in part of the journal, as the books have it: positive is debit.

    Attributes:
        closing_minor: The balance after it.
        debits_minor: The sum of what was debited.
        credits_minor: The sum of what was credited, as a positive number.
        entries: How many postings; without any, nothing else counts.
    """

    account_id: UUID
    wallet_id: UUID
    currency: str
    closing_minor: int
    debits_minor: int
    credits_minor: int
    entries: int

    @property
    def opening_minor(self) -> int:
        """The balance before it."""
        return self.closing_minor - self.debits_minor + self.credits_minor


_TURNOVERS: Final = """
    SELECT a.id AS account_id, a.wallet_id, a.currency, coalesce(l.posted_after_minor, 0) AS closing_minor,
        coalesce(t.debits, 0) AS debits_minor, coalesce(t.credits, 0) AS credits_minor, t.entries
    FROM (
        SELECT a.id, a.wallet_id, a.currency FROM accounts AS a
        WHERE a.wallet_id IS NOT NULL AND ($3::uuid IS NULL OR a.id > $3) ORDER BY a.id LIMIT $4) AS a
    CROSS JOIN LATERAL (
        SELECT count(*) AS entries, sum(p.amount_minor) FILTER (WHERE p.amount_minor > 0) AS debits,
            -sum(p.amount_minor) FILTER (WHERE p.amount_minor < 0) AS credits
        FROM postings AS p WHERE p.account_id = a.id AND p.entry_id > $1 AND p.entry_id <= $2) AS t
    LEFT JOIN LATERAL (
        SELECT p.posted_after_minor FROM postings AS p
        WHERE p.account_id = a.id AND p.entry_id > $1 AND p.entry_id <= $2
        ORDER BY p.entry_id DESC, p.line DESC LIMIT 1) AS l ON TRUE
    ORDER BY a.id
"""


async def list_turnovers(tx: TenantTx, behind: UUID, until: UUID, *, after: UUID | None, limit: int) -> list[Turnover]:
    """Return the turnovers of wallets' accounts between two entries, in the order of the accounts' ids.

    Args:
        tx: The tenant's transaction.
        behind: The entry behind which they begin.
        until: The last entry that counts.
        after: The account behind which to go on.
        limit: How many accounts at most; those without postings are among them.
    """
    rows = await tx.fetch(_TURNOVERS, behind, until, after, limit)
    # What goes to and fro all month has sums that no bigint holds, so they come as decimals.
    return [
        Turnover(**{**row, "debits_minor": int(row["debits_minor"]), "credits_minor": int(row["credits_minor"])})
        for row in rows
    ]


async def first_booked_at(tx: TenantTx) -> datetime | None:
    """Return when the first entry that is in the ledger was booked; None where there is none."""
    found: datetime | None = await tx.fetchval(
        "SELECT j.effective_high FROM journal_entries AS j ORDER BY j.id LIMIT 1"
    )
    return found
