"""The ledger's SQL on the engine's side: what a batch loads, and what it writes as sets.

Writes are single statements over ``unnest``; the columns are always named.
"""

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold import chain
from billfold.contract.ledger import AccountType, HoldStatus, NormalSide
from billfold_server.audit import service as audit
from billfold_server.db import jobs, outbox
from billfold_server.db.sets import Write, documents, instants, integers, pieces, texts, uuids
from billfold_server.ledger.books import Books, Changes
from billfold_server.ledger.rows import (
    AccountRow,
    CodeKey,
    EntryRow,
    HoldMovementRow,
    HoldRow,
    PostingRow,
    ReversalRow,
    WalletKey,
)
from billfold_server.tenancy.clock import TENANT_NOW
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "ACCOUNT_COLUMNS",
    "ENTRY_COLUMNS",
    "HOLD_COLUMNS",
    "LOCK_HEAD",
    "STORES",
    "Opening",
    "StoredAnswer",
    "answer_writes",
    "head_writes",
    "leaves_of",
    "ledger_writes",
    "open_books",
    "to_account",
    "to_hold",
    "with_postings",
]

LOCK_HEAD: Final = (
    "SET LOCAL plan_cache_mode TO force_generic_plan; SET LOCAL enable_hashjoin TO off; "
    "SET LOCAL enable_mergejoin TO off; SET LOCAL enable_seqscan TO off; "
    "SELECT 1 FROM ledger_head WHERE id = 1 FOR UPDATE"
)
"""Takes the tenant's ledger for one batch; the last of the first round trip, so the next statement sees afresh.

A batch looks its rows up by key, and few of many. A plan that reads a whole table instead is made while the table is
small, and kept when it has grown.
"""


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
        revision: Of the head; it counts the batches that changed anything.
        now: The tenant's time.
        answers: What was answered before under the batch's idempotency keys.
    """

    sequence: int
    revision: int
    recorded_at: datetime
    effective_high: datetime
    head: chain.Head
    now: datetime
    answers: dict[tuple[UUID, str], StoredAnswer]


_OPEN: Final = f"""
SELECT h.sequence, h.revision, h.recorded_at, h.effective_high, h.link, h.hash, h.skips, ({TENANT_NOW}) AS now,
    ARRAY(
        SELECT ROW(i.client_id, i.key, i.fingerprint, i.status, i.body, i.created_at)
        FROM unnest($1::text::uuid[], $2::text::text[]) AS wanted (client_id, key)
        JOIN idempotency_keys AS i ON i.client_id = wanted.client_id AND i.key = wanted.key
    ) AS answers
FROM ledger_head AS h WHERE h.id = 1
"""  # noqa: S608 - constants


async def open_books(tx: TenantTx, keys: Sequence[tuple[UUID, str]]) -> Opening:
    """Return where the ledger stands, what time it is, and what requests with these keys were answered before."""
    (row,) = await tx.fetch(_OPEN, uuids([client for client, _ in keys]), texts([key for _, key in keys]))
    return Opening(
        sequence=row["sequence"],
        revision=row["revision"],
        recorded_at=row["recorded_at"],
        effective_high=row["effective_high"],
        head=chain.Head(number=row["link"], hash=row["hash"], skips=row["skips"]),
        now=row["now"],
        answers={
            (client_id, key): StoredAnswer(
                client_id=client_id,
                key=key,
                fingerprint=fingerprint,
                status=status,
                body=body,
                created_at=created_at,
            )
            for client_id, key, fingerprint, status, body, created_at in row["answers"]
        },
    )


# Accounts.

ACCOUNT_COLUMNS: Final = (
    "a.id, a.code, a.type, a.normal_side, a.currency, a.wallet_id, a.name, a.status, a.overdraft_limit_minor, "
    "a.posted_minor, a.pending_minor, a.held_minor, a.metadata, a.version, a.created_at, a.updated_at"
)


def to_account(row: asyncpg.Record) -> AccountRow:
    """Return the account that a row of ``ACCOUNT_COLUMNS`` holds."""
    facts = dict(row)
    facts["type"] = AccountType(facts["type"])
    facts["normal_side"] = NormalSide(facts["normal_side"])
    facts["metadata"] = msgspec.json.decode(facts["metadata"])
    return AccountRow(**facts)


_INSERT_ACCOUNTS: Final = """
    INSERT INTO accounts (
        id, code, type, normal_side, currency, wallet_id, name, status, overdraft_limit_minor,
        posted_minor, pending_minor, held_minor, metadata, version, created_at, updated_at)
    SELECT n.id, n.code, n.type, n.normal_side, n.currency, n.wallet_id, n.name, n.status,
        n.overdraft_limit_minor, n.posted_minor, n.pending_minor, n.held_minor, n.metadata::jsonb, n.version,
        n.created_at, n.updated_at
    FROM unnest(
        $1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::uuid[],
        $7::text::text[], $8::text::text[],
        $9::text::bigint[], $10::text::bigint[], $11::text::bigint[], $12::text::bigint[], $13::text::text[],
        $14::text::bigint[], $15::text::timestamptz[], $16::text::timestamptz[]
    ) AS n (id, code, type, normal_side, currency, wallet_id, name, status, overdraft_limit_minor,
        posted_minor, pending_minor, held_minor, metadata, version, created_at, updated_at)
"""
_UPDATE_ACCOUNTS: Final = """
    UPDATE accounts AS a SET
        name = n.name, status = n.status, overdraft_limit_minor = n.overdraft_limit_minor,
        posted_minor = n.posted_minor, pending_minor = n.pending_minor, held_minor = n.held_minor,
        metadata = n.metadata::jsonb, version = n.version, updated_at = n.updated_at
    FROM unnest(
        $1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::bigint[], $5::text::bigint[],
        $6::text::bigint[],
        $7::text::bigint[], $8::text::text[], $9::text::bigint[], $10::text::timestamptz[]
    ) AS n (id, name, status, overdraft_limit_minor, posted_minor, pending_minor, held_minor, metadata, version,
        updated_at)
    WHERE a.id = n.id
"""
_MOVE_BALANCES: Final = """
    UPDATE accounts AS a SET
        posted_minor = n.posted_minor, pending_minor = n.pending_minor, held_minor = n.held_minor,
        updated_at = n.updated_at
    FROM unnest(
        $1::text::uuid[], $2::text::bigint[], $3::text::bigint[], $4::text::bigint[], $5::text::timestamptz[]
    ) AS n (id, posted_minor, pending_minor, held_minor, updated_at)
    WHERE a.id = n.id
"""


def _insert_accounts(rows: Sequence[AccountRow]) -> Write:
    arguments = (
        uuids([row.id for row in rows]),
        texts([row.code for row in rows]),
        texts([row.type.value for row in rows]),
        texts([row.normal_side.value for row in rows]),
        texts([row.currency for row in rows]),
        uuids([row.wallet_id for row in rows]),
        texts([row.name for row in rows]),
        texts([row.status for row in rows]),
        integers([row.overdraft_limit_minor for row in rows]),
        integers([row.posted_minor for row in rows]),
        integers([row.pending_minor for row in rows]),
        integers([row.held_minor for row in rows]),
        documents([row.metadata for row in rows]),
        integers([row.version for row in rows]),
        instants([row.created_at for row in rows]),
        instants([row.updated_at for row in rows]),
    )
    return Write(_INSERT_ACCOUNTS, arguments)


def _update_accounts(rows: Sequence[AccountRow]) -> Write:
    arguments = (
        uuids([row.id for row in rows]),
        texts([row.name for row in rows]),
        texts([row.status for row in rows]),
        integers([row.overdraft_limit_minor for row in rows]),
        integers([row.posted_minor for row in rows]),
        integers([row.pending_minor for row in rows]),
        integers([row.held_minor for row in rows]),
        documents([row.metadata for row in rows]),
        integers([row.version for row in rows]),
        instants([row.updated_at for row in rows]),
    )
    return Write(_UPDATE_ACCOUNTS, arguments)


def _move_balances(rows: Sequence[AccountRow]) -> Write:
    arguments = (
        uuids([row.id for row in rows]),
        integers([row.posted_minor for row in rows]),
        integers([row.pending_minor for row in rows]),
        integers([row.held_minor for row in rows]),
        instants([row.updated_at for row in rows]),
    )
    return Write(_MOVE_BALANCES, arguments)


def _has_moved_only(row: AccountRow, before: AccountRow) -> bool:
    return row.version == before.version and row.status == before.status


class _Accounts:
    row_type = AccountRow
    cached = True

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return accounts by id, by wallet and currency, and by code and currency, in one query."""
        by_id = [key for key in keys if isinstance(key, UUID)]
        by_wallet = [key for key in keys if isinstance(key, WalletKey)]
        by_code = [key for key in keys if isinstance(key, CodeKey)]
        rows = await tx.fetch(
            f"""
            SELECT {ACCOUNT_COLUMNS} FROM unnest($1::text::uuid[]) AS n (id) JOIN accounts AS a ON a.id = n.id
            UNION ALL
            SELECT {ACCOUNT_COLUMNS} FROM unnest($2::text::uuid[], $3::text::text[]) AS w (wallet_id, currency)
            JOIN accounts AS a ON a.wallet_id = w.wallet_id AND a.currency = w.currency
            UNION ALL
            SELECT {ACCOUNT_COLUMNS} FROM unnest($4::text::text[], $5::text::text[]) AS c (code, currency)
            JOIN accounts AS a ON a.code = c.code AND a.currency = c.currency
            """,  # noqa: S608 - the columns are a constant of this module
            uuids(by_id),
            uuids([key.wallet_id for key in by_wallet]),
            texts([key.currency for key in by_wallet]),
            texts([key.code for key in by_code]),
            texts([key.currency for key in by_code]),
        )
        found: dict[Any, Any] = {}
        for row in map(to_account, rows):
            found[row.id] = row
            if row.wallet_id is not None:
                found[WalletKey(row.wallet_id, row.currency)] = row
            if row.code is not None:
                found[CodeKey(row.code, row.currency)] = row
        return found

    def writes(self, rows: Sequence[AccountRow], before: Mapping[Hashable, AccountRow | None]) -> list[Write]:
        """Insert the new accounts, and set the balances, or all that may change, of the others."""
        new, changed, moved = [], [], []
        for row in rows:
            old = before[row.id]
            if old is None:
                new.append(row)
            elif _has_moved_only(row, old):
                moved.append(row)
            else:
                changed.append(row)
        makers = ((new, _insert_accounts), (changed, _update_accounts), (moved, _move_balances))
        return [make(some) for some, make in makers if some]


# Journal entries.

ENTRY_COLUMNS: Final = (
    "j.id, j.sequence, j.kind, j.description, j.reverses, j.hold_id, j.effective_at, j.effective_high, j.recorded_at, "
    "j.metadata, j.text_salt, j.text_commitment"
)


async def with_postings(tx: TenantTx, heads: Sequence[asyncpg.Record]) -> list[EntryRow]:
    """Return the entries of these heads, with their postings from one further query."""
    rows = await tx.fetch(
        """
        SELECT p.entry_id, p.line, p.account_id, a.normal_side, p.amount_minor, p.currency, p.posted_after_minor,
            p.late_class
        FROM postings AS p JOIN accounts AS a ON a.id = p.account_id
        WHERE p.entry_id = ANY($1::uuid[])
        ORDER BY p.entry_id, p.line
        """,
        [head["id"] for head in heads],
    )
    postings: dict[UUID, list[PostingRow]] = {}
    for row in rows:
        facts = dict(row)
        entry_id = facts.pop("entry_id")
        facts["normal_side"] = NormalSide(facts["normal_side"])
        postings.setdefault(entry_id, []).append(PostingRow(**facts))
    entries = []
    for head in heads:
        facts = dict(head)
        facts["metadata"] = msgspec.json.decode(facts["metadata"])
        entries.append(EntryRow(**facts, postings=tuple(postings.get(head["id"], ()))))
    return entries


class _Entries:
    row_type = EntryRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return journal entries by id, with their postings."""
        heads = await tx.fetch(
            f"SELECT {ENTRY_COLUMNS} FROM journal_entries AS j WHERE j.id = ANY($1::uuid[])",  # noqa: S608 - constant
            list(keys),
        )
        return {entry.id: entry for entry in await with_postings(tx, heads)} if heads else {}


_INSERT_ENTRIES: Final = """
    INSERT INTO journal_entries (
        id, sequence, kind, description, reverses, hold_id, effective_at, effective_high, recorded_at, metadata,
        text_salt, text_commitment)
    SELECT n.id, n.sequence, n.kind, n.description, n.reverses, n.hold_id, n.effective_at, n.effective_high,
        n.recorded_at, n.metadata::jsonb, n.text_salt, n.text_commitment
    FROM unnest(
        $1::text::uuid[], $2::text::bigint[], $3::text::text[], $4::text::text[], $5::text::uuid[], $6::text::uuid[],
        $7::text::timestamptz[], $8::text::timestamptz[], $9::text::timestamptz[], $10::text::text[],
        $11::text::bytea[],
        $12::text::bytea[]
    ) AS n (id, sequence, kind, description, reverses, hold_id, effective_at, effective_high, recorded_at, metadata,
        text_salt, text_commitment)
"""
_INSERT_POSTINGS: Final = """
    INSERT INTO postings (
        entry_id, line, account_id, amount_minor, currency, posted_after_minor, effective_at, late_class)
    SELECT n.entry_id, n.line, n.account_id, n.amount_minor, n.currency, n.posted_after_minor, n.effective_at,
        n.late_class
    FROM unnest(
        $1::text::uuid[], $2::text::smallint[], $3::text::uuid[], $4::text::bigint[], $5::text::text[],
        $6::text::bigint[],
        $7::text::timestamptz[], $8::text::smallint[]
    ) AS n (entry_id, line, account_id, amount_minor, currency, posted_after_minor, effective_at, late_class)
"""


def _octets(values: Sequence[bytes | None]) -> str:
    return texts([None if value is None else f"\\x{value.hex()}" for value in values])


def _entry_writes(entries: Sequence[EntryRow]) -> list[Write]:
    heads = (
        uuids([entry.id for entry in entries]),
        integers([entry.sequence for entry in entries]),
        texts([entry.kind for entry in entries]),
        texts([entry.description for entry in entries]),
        uuids([entry.reverses for entry in entries]),
        uuids([entry.hold_id for entry in entries]),
        instants([entry.effective_at for entry in entries]),
        instants([entry.effective_high for entry in entries]),
        instants([entry.recorded_at for entry in entries]),
        documents([entry.metadata for entry in entries]),
        _octets([entry.text_salt for entry in entries]),
        _octets([entry.text_commitment for entry in entries]),
    )
    postings = [posting for entry in entries for posting in entry.postings]
    owners = [entry for entry in entries for _ in entry.postings]
    lines = (
        uuids([entry.id for entry in owners]),
        integers([posting.line for posting in postings]),
        uuids([posting.account_id for posting in postings]),
        integers([posting.amount_minor for posting in postings]),
        texts([posting.currency for posting in postings]),
        integers([posting.posted_after_minor for posting in postings]),
        instants([entry.effective_at for entry in owners]),
        integers([posting.late_class for posting in postings]),
    )
    return [Write(_INSERT_ENTRIES, heads), Write(_INSERT_POSTINGS, lines)]


# Holds.

HOLD_COLUMNS: Final = (
    "h.id, h.wallet_id, h.account_id, h.to_wallet_id, h.to_account_id, h.currency, h.amount_minor, h.captured_minor, "
    "h.released_minor, h.status, h.expires_at, h.description, h.metadata, h.steps, h.journal_entry_ids, h.created_at, "
    "h.updated_at"
)


def to_hold(row: asyncpg.Record) -> HoldRow:
    """Return the hold that a row of ``HOLD_COLUMNS`` holds."""
    facts = dict(row)
    facts["status"] = HoldStatus(facts["status"])
    facts["metadata"] = msgspec.json.decode(facts["metadata"])
    facts["journal_entry_ids"] = tuple(facts["journal_entry_ids"])
    return HoldRow(**facts)


class _Holds:
    row_type = HoldRow
    cached = True

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return holds by id."""
        rows = await tx.fetch(
            f"SELECT {HOLD_COLUMNS} FROM holds AS h WHERE h.id = ANY($1::uuid[])",  # noqa: S608 - constant
            list(keys),
        )
        return {hold.id: hold for hold in map(to_hold, rows)}

    def writes(self, rows: Sequence[HoldRow], _before: Mapping[Hashable, HoldRow | None]) -> list[Write]:
        """Insert the new holds, and set what has become of the others."""
        arguments = (
            uuids([row.id for row in rows]),
            uuids([row.wallet_id for row in rows]),
            uuids([row.account_id for row in rows]),
            uuids([row.to_wallet_id for row in rows]),
            uuids([row.to_account_id for row in rows]),
            texts([row.currency for row in rows]),
            integers([row.amount_minor for row in rows]),
            integers([row.captured_minor for row in rows]),
            integers([row.released_minor for row in rows]),
            texts([row.status.value for row in rows]),
            instants([row.expires_at for row in rows]),
            texts([row.description for row in rows]),
            documents([row.metadata for row in rows]),
            integers([row.steps for row in rows]),
            texts([uuids(row.journal_entry_ids) for row in rows]),
            instants([row.created_at for row in rows]),
            instants([row.updated_at for row in rows]),
        )
        return [Write(_UPSERT_HOLDS, arguments)]


# Arrays of arrays can't be unnested row by row, so each hold's entries travel as one text.
_UPSERT_HOLDS: Final = """
    INSERT INTO holds AS h (
        id, wallet_id, account_id, to_wallet_id, to_account_id, currency, amount_minor, captured_minor,
        released_minor, status, expires_at, description, metadata, steps, journal_entry_ids, created_at,
        updated_at)
    SELECT n.id, n.wallet_id, n.account_id, n.to_wallet_id, n.to_account_id, n.currency, n.amount_minor,
        n.captured_minor, n.released_minor, n.status, n.expires_at, n.description, n.metadata::jsonb, n.steps,
        n.entries::uuid[], n.created_at, n.updated_at
    FROM unnest(
        $1::text::uuid[], $2::text::uuid[], $3::text::uuid[], $4::text::uuid[], $5::text::uuid[], $6::text::text[],
        $7::text::bigint[], $8::text::bigint[], $9::text::bigint[], $10::text::text[], $11::text::timestamptz[],
        $12::text::text[],
        $13::text::text[], $14::text::int[], $15::text::text[], $16::text::timestamptz[], $17::text::timestamptz[]
    ) AS n (id, wallet_id, account_id, to_wallet_id, to_account_id, currency, amount_minor, captured_minor,
        released_minor, status, expires_at, description, metadata, steps, entries, created_at, updated_at)
    ON CONFLICT (id) DO UPDATE SET
        captured_minor = excluded.captured_minor, released_minor = excluded.released_minor,
        status = excluded.status, steps = excluded.steps, journal_entry_ids = excluded.journal_entry_ids,
        updated_at = excluded.updated_at
"""


class _HoldMovements:
    row_type = HoldMovementRow

    def writes(
        self, rows: Sequence[HoldMovementRow], _before: Mapping[Hashable, HoldMovementRow | None]
    ) -> list[Write]:
        """Add the movements."""
        arguments = (
            uuids([row.hold_id for row in rows]),
            integers([row.step for row in rows]),
            uuids([row.account_id for row in rows]),
            uuids([row.to_account_id for row in rows]),
            integers([row.delta_minor for row in rows]),
            integers([row.held_after_minor for row in rows]),
            integers([row.pending_after_minor for row in rows]),
            instants([row.effective_at for row in rows]),
            instants([row.recorded_at for row in rows]),
        )
        return [Write(_INSERT_MOVEMENTS, arguments)]


_INSERT_MOVEMENTS: Final = """
    INSERT INTO hold_movements (
        hold_id, step, account_id, to_account_id, delta_minor, held_after_minor, pending_after_minor, effective_at,
        recorded_at)
    SELECT n.hold_id, n.step, n.account_id, n.to_account_id, n.delta_minor, n.held_after_minor, n.pending_after_minor,
        n.effective_at, n.recorded_at
    FROM unnest(
        $1::text::uuid[], $2::text::int[], $3::text::uuid[], $4::text::uuid[], $5::text::bigint[], $6::text::bigint[],
        $7::text::bigint[], $8::text::timestamptz[], $9::text::timestamptz[]
    ) AS n (hold_id, step, account_id, to_account_id, delta_minor, held_after_minor, pending_after_minor,
        effective_at, recorded_at)
"""


class _Reversals:
    row_type = ReversalRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return how much has been undone, by journal entry."""
        rows = await tx.fetch(
            """
            SELECT r.journal_entry_id, r.amount_minor, r.reversed_minor
            FROM reversals AS r WHERE r.journal_entry_id = ANY($1::uuid[])
            """,
            list(keys),
        )
        return {row["journal_entry_id"]: ReversalRow(**dict(row)) for row in rows}

    def writes(self, rows: Sequence[ReversalRow], _before: Mapping[Hashable, ReversalRow | None]) -> list[Write]:
        """Set how much has been undone."""
        arguments = (
            uuids([row.journal_entry_id for row in rows]),
            integers([row.amount_minor for row in rows]),
            integers([row.reversed_minor for row in rows]),
        )
        return [Write(_UPSERT_REVERSALS, arguments)]


_UPSERT_REVERSALS: Final = """
    INSERT INTO reversals AS r (journal_entry_id, amount_minor, reversed_minor)
    SELECT n.journal_entry_id, n.amount_minor, n.reversed_minor
    FROM unnest($1::text::uuid[], $2::text::bigint[], $3::text::bigint[])
        AS n (journal_entry_id, amount_minor, reversed_minor)
    ON CONFLICT (journal_entry_id) DO UPDATE SET reversed_minor = excluded.reversed_minor
"""

STORES: Final = (_Accounts(), _Entries(), _Holds(), _HoldMovements(), _Reversals())
"""The ledger's own rows, as the engine loads and writes them."""


# What a batch adds besides rows.


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


def head_writes(books: Books, opening: Opening, leaves: Sequence[bytes]) -> tuple[list[Write], chain.Head]:
    """Return what adds a batch's link to the chain and moves the ledger's head, and the chain's head after it."""
    writes, head = [], opening.head
    if leaves:
        head, link = head.extend(leaves, books.recorded_at)
        writes.append(Write(_INSERT_LINK, (link.number, books.recorded_at, b"".join(leaves), head.hash)))
    place = (books.sequence, opening.revision + 1, books.recorded_at, books.effective_high)
    writes.append(Write(_MOVE_HEAD, (*place, head.number, head.hash, head.skips)))
    return writes, head


def _recorded_at(record: EntryRow | HoldMovementRow) -> datetime:
    return record.recorded_at


_INSERT_LINK: Final = "INSERT INTO ledger_links (number, recorded_at, leaves, hash) VALUES ($1, $2, $3, $4)"
_MOVE_HEAD: Final = """
    UPDATE ledger_head SET
        sequence = $1, revision = $2, recorded_at = $3, effective_high = $4, link = $5, hash = $6, skips = $7
    WHERE id = 1
"""
_INSERT_ANSWERS: Final = """
    INSERT INTO idempotency_keys (client_id, key, fingerprint, status, body, created_at)
    SELECT n.client_id, n.key, substr($5::bytea, n.print_at, n.print_size), n.status,
        substr($8::bytea, n.body_at, n.body_size), n.created_at
    FROM unnest(
        $1::text::uuid[], $2::text::text[], $3::text::smallint[], $4::text::timestamptz[], $6::text::int[],
        $7::text::int[], $9::text::int[], $10::text::int[]
    ) AS n (client_id, key, status, created_at, print_at, print_size, body_at, body_size)
"""


def answer_writes(answers: Sequence[StoredAnswer]) -> list[Write]:
    """Return what keeps answers under their keys. A key that is claimed by a request of another kind is waited for."""
    if not answers:
        return []
    arguments = (
        uuids([answer.client_id for answer in answers]),
        texts([answer.key for answer in answers]),
        integers([answer.status for answer in answers]),
        instants([answer.created_at for answer in answers]),
        *pieces([answer.fingerprint for answer in answers]),
        *pieces([answer.body for answer in answers]),
    )
    return [Write(_INSERT_ANSWERS, arguments)]
