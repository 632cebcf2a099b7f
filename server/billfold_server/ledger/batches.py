"""What a batch begins with, and what it adds besides the rooms' own rows: entries, answers, events, link and head.

Writes are sets; the columns are always named.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import msgspec

from billfold import chain
from billfold_server.audit import service as audit
from billfold_server.db import jobs, outbox
from billfold_server.db.sets import PIECES, Columns, Write, narrowed, texts, uuids
from billfold_server.ledger.books import Books, Changes
from billfold_server.ledger.memory import Key, Place, StoredAnswer
from billfold_server.ledger.rows import EntryRow, HoldMovementRow
from billfold_server.ledger.terms import AccountTermsRow, EraRow, HoldTermsRow, WalletTermsRow
from billfold_server.tenancy.clock import READING, ClockReading
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "LOCK_HEAD",
    "Opening",
    "answer_writes",
    "begin_era",
    "find_answers",
    "guard",
    "has_come_true",
    "head_writes",
    "is_served",
    "leaves_of",
    "ledger_writes",
    "next_place",
    "open_books",
    "read_clock",
]

LOCK_HEAD: Final = "SELECT 1 FROM ledger_head WHERE id = 1 FOR UPDATE"
"""Takes the tenant's ledger for one batch; the last of a round trip, so the next statement sees afresh."""


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch begins with.

    Attributes:
        place: Where the ledger stands.
        clock: What the tenant's clock has shown.
        now: The tenant's time; where it was looked up before, maybe a little less.
        latest: By when at the latest it is.
        answers: What was answered before under the batch's idempotency keys.
    """

    place: Place
    clock: ClockReading
    now: datetime
    latest: datetime
    answers: dict[Key, StoredAnswer]


_FIND_ANSWERS: Final = """
SELECT i.client_id, i.key, i.fingerprint, i.status, i.body, i.created_at
FROM unnest($1::text::uuid[], $2::text::text[]) AS wanted (client_id, key)
JOIN idempotency_keys AS i ON i.client_id = wanted.client_id AND i.key = wanted.key
"""
# A server of an older version, which writes no terms, may have opened something before there is a link.
_OPEN: Final = f"""
SELECT h.sequence, h.revision, h.fence, h.recorded_at, h.effective_high, h.link, h.hash, h.skips,
    CASE WHEN h.link > 0 THEN h.era WHEN EXISTS (SELECT FROM wallets) OR EXISTS (SELECT FROM accounts) THEN 1::smallint
        ELSE h.era END AS era,
    {READING} AS clock,
    ARRAY(SELECT ROW(found.*) FROM ({_FIND_ANSWERS}) AS found) AS answers
FROM ledger_head AS h WHERE h.id = 1
"""  # noqa: S608 - constants


async def open_books(tx: TenantTx, keys: Sequence[Key]) -> Opening:
    """Return where the ledger stands, what time it is, and what requests with these keys were answered before."""
    asked_s = time.monotonic()
    (row,) = await tx.fetch(_OPEN, *_columns(keys))
    clock = _reading(row["clock"], asked_s)
    place = Place(
        sequence=row["sequence"],
        revision=row["revision"],
        fence=row["fence"],
        recorded_at=row["recorded_at"],
        effective_high=row["effective_high"],
        head=chain.Head(number=row["link"], hash=row["hash"], skips=row["skips"]),
        era=row["era"],
    )
    # All that the batch holds had been asked for before the clock was looked at, so here it is late enough.
    now = clock.now(clock.read_s)
    return Opening(place=place, clock=clock, now=now, latest=now, answers=_stored(row["answers"]))


async def read_clock(tx: TenantTx) -> ClockReading:
    """Return what the tenant's clock shows."""
    asked_s = time.monotonic()
    return _reading(await tx.fetchval(f"SELECT {READING}"), asked_s)


def _reading(clock: tuple[int, datetime | None, datetime], asked_s: float) -> ClockReading:
    offset_us, frozen_at, real_at = clock
    read_s = time.monotonic()
    return ClockReading(offset_us, frozen_at, real_at, read_s, read_s - asked_s)


async def find_answers(tx: TenantTx, keys: Sequence[Key]) -> dict[Key, StoredAnswer]:
    """Return what requests with these keys were answered before."""
    return _stored(await tx.fetch(_FIND_ANSWERS, *_columns(keys)))


def guard(place: Place, clock: ClockReading, conditions: Sequence[Write] = ()) -> Write:
    """Return what ends a transaction (division by zero) if the ledger or the clock isn't as it is thought to be.

    Args:
        place: Where the ledger is thought to stand.
        clock: What the tenant's clock is thought to show.
        conditions: What must hold besides.
    """
    return narrowed(Write(_GUARD, (place.fence, clock.offset_us, clock.frozen_at)), conditions)


_GUARD: Final = """
SELECT 1 / count(*) FROM ledger_head AS h, tenant_clock AS c
WHERE h.id = 1 AND h.fence = $1::uuid
    AND c.id = 1 AND c.offset_us = $2::bigint AND c.frozen_at IS NOT DISTINCT FROM $3::timestamptz
"""


async def is_served(tx: TenantTx, backend: int) -> bool:
    """Tell whether one of PostgreSQL's processes still serves a session, and so may still commit something."""
    served: bool = await tx.fetchval("SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1)", backend)
    return served


async def has_come_true(tx: TenantTx, writes: Sequence[Write]) -> bool | None:
    """Tell whether what was to be written is there; None where nothing of it can be looked for."""
    for write in writes:
        if write.sql == _INSERT_LINK:
            number, _, _, digest = write.arguments
            query = "SELECT EXISTS (SELECT FROM ledger_links WHERE number = $1 AND hash = $2)"
            there: bool = await tx.fetchval(query, number, digest)
            return there
    return None


def _columns(keys: Sequence[Key]) -> tuple[str, str]:
    return uuids([client for client, _ in keys]), texts([key for _, key in keys])


def _stored(rows: Iterable[Iterable[Any]]) -> dict[Key, StoredAnswer]:
    return {
        (client_id, key): StoredAnswer(
            client_id=client_id, key=key, fingerprint=fingerprint, status=status, body=body, created_at=created_at
        )
        for client_id, key, fingerprint, status, body, created_at in rows
    }


_ENTRIES: Final = Columns(
    id="uuid",
    sequence="bigint",
    kind="text",
    description="text",
    reverses="uuid",
    hold_id="uuid",
    effective_at="timestamptz",
    effective_high="timestamptz",
    recorded_at="timestamptz",
    metadata="jsonb",
    text_salt="bytea",
    text_commitment="bytea",
)
_INSERT_ENTRIES: Final = f"INSERT INTO journal_entries ({_ENTRIES.names}) SELECT {_ENTRIES.values} FROM {_ENTRIES.rows}"  # noqa: S608 - constants
_POSTINGS: Final = Columns(
    entry_id="uuid",
    line="smallint",
    account_id="uuid",
    amount_minor="bigint",
    currency="text",
    posted_after_minor="bigint",
    effective_at="timestamptz",
    late_class="smallint",
)
_INSERT_POSTINGS: Final = f"INSERT INTO postings ({_POSTINGS.names}) SELECT {_POSTINGS.values} FROM {_POSTINGS.rows}"  # noqa: S608 - constants


def _entry_writes(entries: Sequence[EntryRow]) -> list[Write]:
    heads = _ENTRIES.arguments(
        [entry.id for entry in entries],
        [entry.sequence for entry in entries],
        [entry.kind for entry in entries],
        [entry.description for entry in entries],
        [entry.reverses for entry in entries],
        [entry.hold_id for entry in entries],
        [entry.effective_at for entry in entries],
        [entry.effective_high for entry in entries],
        [entry.recorded_at for entry in entries],
        [entry.metadata for entry in entries],
        [entry.text_salt for entry in entries],
        [entry.text_commitment for entry in entries],
    )
    postings = [posting for entry in entries for posting in entry.postings]
    owners = [entry for entry in entries for _ in entry.postings]
    lines = _POSTINGS.arguments(
        [entry.id for entry in owners],
        [posting.line for posting in postings],
        [posting.account_id for posting in postings],
        [posting.amount_minor for posting in postings],
        [posting.currency for posting in postings],
        [posting.posted_after_minor for posting in postings],
        [entry.effective_at for entry in owners],
        [posting.late_class for posting in postings],
    )
    return [Write(_INSERT_ENTRIES, heads), Write(_INSERT_POSTINGS, lines)]


def ledger_writes(changes: Changes) -> list[Write]:
    """Return what writes a part's entries, events, audit and jobs."""
    return [
        *(_entry_writes(changes.entries) if changes.entries else ()),
        *outbox.writes(changes.events),
        *audit.writes(changes.audit_records),
        *jobs.writes(changes.jobs),
    ]


def leaves_of(changes: Changes) -> list[bytes]:
    """Return the digests of a part's records, in the order in which they were recorded."""
    others = _others(changes)
    if not others:
        return chain.entry_leaves(changes.entries)
    return [record.leaf() for record in sorted([*changes.entries, *others], key=_recorded_at)]


_Chained = EntryRow | HoldMovementRow | HoldTermsRow | EraRow | WalletTermsRow | AccountTermsRow
_OTHERS: Final = (HoldMovementRow, HoldTermsRow, EraRow, WalletTermsRow, AccountTermsRow)
_TICK: Final = timedelta(microseconds=1)


def _others(changes: Changes) -> list[_Chained]:
    """Return a part's records that are no journal entries."""
    rows = changes.rows
    return [row for each in _OTHERS if each in rows for row in rows[each].values()]


def begin_era(changes: Changes, place: Place) -> None:
    """Add the record of its era to the part that writes the first records of a ledger."""
    if not place.begins_era or not (records := [*changes.entries[:1], *_others(changes)]):
        return
    era = EraRow(number=place.era, recorded_at=min(map(_recorded_at, records)) - _TICK)
    changes.rows[EraRow], changes.before[EraRow] = {era.key: era}, {era.key: None}


def head_writes(place: Place, leaves: Sequence[bytes], link: chain.Link | None) -> list[Write]:
    """Return what adds a batch's link to the chain, if it has one, and moves the ledger's head to its new place."""
    writes, head = [], place.head
    if link is not None:
        writes.append(Write(_INSERT_LINK, (link.number, place.recorded_at, b"".join(leaves), head.hash)))
    where = (place.sequence, place.revision, place.recorded_at, place.effective_high)
    writes.append(Write(_MOVE_HEAD, (*where, head.number, head.hash, head.skips, place.fence)))
    return writes


def next_place(books: Books, place: Place, leaves: Sequence[bytes]) -> tuple[Place, chain.Link | None]:
    """Return where a batch that has changed or kept something leaves the ledger, and its link if it has one."""
    head, link = place.head.extend(leaves, books.recorded_at) if leaves else (place.head, None)
    return (
        Place(
            sequence=books.sequence,
            revision=place.revision + 1,
            fence=uuid4(),
            recorded_at=books.recorded_at,
            effective_high=books.effective_high,
            head=head,
            era=place.era,
        ),
        link,
    )


def _recorded_at(record: _Chained) -> datetime:
    return record.recorded_at


_INSERT_LINK: Final = "INSERT INTO ledger_links (number, recorded_at, leaves, hash) VALUES ($1, $2, $3, $4)"
_MOVE_HEAD: Final = """
    UPDATE ledger_head SET
        sequence = $1, revision = $2, recorded_at = $3, effective_high = $4, link = $5, hash = $6, skips = $7,
        fence = $8
    WHERE id = 1
"""
_STORED: Final = Columns(
    key="text",
    client_id="uuid",
    fingerprint="bytea",
    status="smallint",
    body=PIECES,
    created_at="timestamptz",
)
_INSERT_ANSWERS: Final = f"INSERT INTO idempotency_keys ({_STORED.names}) SELECT {_STORED.values} FROM {_STORED.rows}"  # noqa: S608 - constants


def answer_writes(answers: Sequence[StoredAnswer]) -> list[Write]:
    """Return what keeps answers under their keys. A key that is claimed by a request of another kind is waited for."""
    if not answers:
        return []
    arguments = _STORED.arguments(
        [answer.key for answer in answers],
        [answer.client_id for answer in answers],
        [answer.fingerprint for answer in answers],
        [answer.status for answer in answers],
        [answer.body for answer in answers],
        [answer.created_at for answer in answers],
    )
    return [Write(_INSERT_ANSWERS, arguments)]
