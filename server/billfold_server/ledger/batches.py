"""What a batch begins with, and what it adds besides the rooms' own rows: entries, answers, events, link and head.

Writes are sets; the columns are always named.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from billfold import chain
from billfold_server.audit import service as audit
from billfold_server.db import jobs, outbox
from billfold_server.db.sets import PIECES, Columns, Write, texts, uuids
from billfold_server.ledger.books import Books, Changes, Place
from billfold_server.ledger.rows import EntryRow, HoldMovementRow
from billfold_server.tenancy.clock import TENANT_NOW
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "LOCK_HEAD",
    "PLANS",
    "Key",
    "Opening",
    "StoredAnswer",
    "answer_writes",
    "head_writes",
    "leaves_of",
    "ledger_writes",
    "next_place",
    "open_ahead",
    "open_books",
    "take_at",
]

PLANS: Final = (
    "SET LOCAL plan_cache_mode TO force_generic_plan; SET LOCAL enable_hashjoin TO off; "
    "SET LOCAL enable_mergejoin TO off; SET LOCAL enable_seqscan TO off; "
)
"""How a batch's statements are planned.

A batch looks its rows up by key, and few of many. A plan that reads a whole table instead is made while the table is
small, and kept when it has grown.
"""

LOCK_HEAD: Final = "SELECT 1 FROM ledger_head WHERE id = 1 FOR UPDATE"
"""Takes the tenant's ledger for one batch; the last of a round trip, so the next statement sees afresh."""


Key = tuple[UUID, str]
"""An idempotency key and whose it is."""


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a request with an idempotency key was answered."""

    client_id: UUID
    key: str
    fingerprint: bytes
    status: int
    body: bytes
    created_at: datetime


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch begins with.

    Attributes:
        place: Where the ledger stands.
        now: The tenant's time.
        answers: What was answered before under the batch's idempotency keys.
    """

    place: Place
    now: datetime
    answers: dict[tuple[UUID, str], StoredAnswer]


_ANSWERS: Final = f"""
({TENANT_NOW}) AS now,
    ARRAY(
        SELECT ROW(i.client_id, i.key, i.fingerprint, i.status, i.body, i.created_at)
        FROM unnest($1::text::uuid[], $2::text::text[]) AS wanted (client_id, key)
        JOIN idempotency_keys AS i ON i.client_id = wanted.client_id AND i.key = wanted.key
    ) AS answers
"""  # noqa: S608 - constants
_OPEN: Final = f"""
SELECT h.sequence, h.revision, h.fence, h.recorded_at, h.effective_high, h.link, h.hash, h.skips, {_ANSWERS}
FROM ledger_head AS h WHERE h.id = 1
"""  # noqa: S608 - constants
_OPEN_AHEAD: Final = f"SELECT pg_current_xact_id()::text AS transaction, {_ANSWERS}"


async def open_books(tx: TenantTx, keys: Sequence[Key]) -> Opening:
    """Return where the ledger stands, what time it is, and what requests with these keys were answered before."""
    (row,) = await tx.fetch(_OPEN, *_columns(keys))
    place = Place(
        sequence=row["sequence"],
        revision=row["revision"],
        fence=row["fence"],
        recorded_at=row["recorded_at"],
        effective_high=row["effective_high"],
        head=chain.Head(number=row["link"], hash=row["hash"], skips=row["skips"]),
    )
    return Opening(place=place, now=row["now"], answers=_stored(row["answers"]))


async def open_ahead(
    tx: TenantTx, keys: Sequence[Key], place: Place, flying: Mapping[Key, StoredAnswer]
) -> tuple[str, Opening]:
    """Return the same for a ledger that stands, or soon will, where this process has left it.

    The transaction's number comes with it: by that PostgreSQL tells later what has become of it.

    Args:
        tx: A transaction that doesn't have the ledger.
        keys: The batch's idempotency keys.
        place: Where the batch before leaves the ledger.
        flying: What the batch before has answered, which may not be committed yet.
    """
    (row,) = await tx.fetch(_OPEN_AHEAD, *_columns(keys))
    opening = Opening(place=place, now=row["now"], answers={**_stored(row["answers"]), **flying})
    return row["transaction"], opening


def _columns(keys: Sequence[Key]) -> tuple[str, str]:
    return uuids([client for client, _ in keys]), texts([key for _, key in keys])


def _stored(rows: Sequence[tuple[Any, ...]]) -> dict[Key, StoredAnswer]:
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
    movements = changes.rows.get(HoldMovementRow)
    if not movements:
        return [entry.leaf() for entry in changes.entries]
    records: list[EntryRow | HoldMovementRow] = [*changes.entries, *movements.values()]
    return [record.leaf() for record in sorted(records, key=_recorded_at)]


def head_writes(place: Place, leaves: Sequence[bytes], link: chain.Link | None) -> list[Write]:
    """Return what adds a batch's link to the chain, if it has one, and moves the ledger's head to its new place."""
    writes, head = [], place.head
    if link is not None:
        writes.append(Write(_INSERT_LINK, (link.number, place.recorded_at, b"".join(leaves), head.hash)))
    where = (place.sequence, place.revision, place.recorded_at, place.effective_high)
    writes.append(Write(_MOVE_HEAD, (*where, head.number, head.hash, head.skips, place.fence)))
    return writes


def next_place(books: Books, place: Place, leaves: Sequence[bytes]) -> tuple[Place, chain.Link | None]:
    """Return where a batch that has changed something leaves the ledger, and its link in the chain if it has one."""
    head, link = place.head.extend(leaves, books.recorded_at) if leaves else (place.head, None)
    return (
        Place(
            sequence=books.sequence,
            revision=place.revision + 1,
            fence=uuid4(),
            recorded_at=books.recorded_at,
            effective_high=books.effective_high,
            head=head,
        ),
        link,
    )


def take_at(place: Place) -> str:
    """Return the SQL that takes the ledger, and ends the transaction (division by zero) if it stands elsewhere."""
    return f"{LOCK_HEAD}; SELECT 1 / count(*) FROM ledger_head WHERE id = 1 AND fence = '{place.fence.hex}'"  # noqa: S608 - hexadecimal


def _recorded_at(record: EntryRow | HoldMovementRow) -> datetime:
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
