"""The ledger's SQL on the engine's side: what a batch loads, and what it writes as sets.

Writes are single statements over ``unnest``; the columns are always named.
"""

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold.contract.ledger import AccountType, HoldStatus, NormalSide
from billfold_server.audit import service as audit
from billfold_server.db import jobs, outbox
from billfold_server.ledger.books import Books
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
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "ACCOUNT_COLUMNS",
    "ENTRY_COLUMNS",
    "HOLD_COLUMNS",
    "LOCK_HEAD",
    "STORES",
    "StoredAnswer",
    "load_answers",
    "load_head",
    "to_account",
    "to_hold",
    "with_postings",
    "write_answers",
    "write_ledger",
]

LOCK_HEAD: Final = "SELECT 1 FROM ledger_head WHERE id = 1 FOR UPDATE"
"""Takes the tenant's ledger for one batch; the last of the first round trip, so the next statement sees afresh."""


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a request with an idempotency key was answered."""

    client_id: UUID
    key: str
    fingerprint: bytes
    status: int
    body: bytes
    created_at: datetime


async def load_head(tx: TenantTx) -> Books:
    """Return empty books that go on where the ledger's head stands."""
    (row,) = await tx.fetch("SELECT sequence, recorded_at FROM ledger_head WHERE id = 1")
    return Books(sequence=row["sequence"], recorded_at=row["recorded_at"])


async def load_answers(tx: TenantTx, keys: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], StoredAnswer]:
    """Return what requests with these keys were answered before."""
    rows = await tx.fetch(
        """
        SELECT i.client_id, i.key, i.fingerprint, i.status, i.body, i.created_at
        FROM unnest($1::uuid[], $2::text[]) AS wanted (client_id, key)
        JOIN idempotency_keys AS i ON i.client_id = wanted.client_id AND i.key = wanted.key
        """,
        [client for client, _ in keys],
        [key for _, key in keys],
    )
    return {(row["client_id"], row["key"]): StoredAnswer(**dict(row)) for row in rows}


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


def _texts(documents: Sequence[dict[str, str]]) -> list[str]:
    return [msgspec.json.encode(document).decode() for document in documents]


class _Accounts:
    row_type = AccountRow

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return accounts by id, by wallet and currency, and by code and currency, in one query."""
        by_id = [key for key in keys if isinstance(key, UUID)]
        by_wallet = [key for key in keys if isinstance(key, WalletKey)]
        by_code = [key for key in keys if isinstance(key, CodeKey)]
        rows = await tx.fetch(
            f"""
            SELECT {ACCOUNT_COLUMNS} FROM accounts AS a WHERE a.id = ANY($1::uuid[])
            UNION
            SELECT {ACCOUNT_COLUMNS} FROM unnest($2::uuid[], $3::text[]) AS w (wallet_id, currency)
            JOIN accounts AS a ON a.wallet_id = w.wallet_id AND a.currency = w.currency
            UNION
            SELECT {ACCOUNT_COLUMNS} FROM unnest($4::text[], $5::text[]) AS c (code, currency)
            JOIN accounts AS a ON a.code = c.code AND a.currency = c.currency
            """,  # noqa: S608 - the columns are a constant of this module
            by_id,
            [key.wallet_id for key in by_wallet],
            [key.currency for key in by_wallet],
            [key.code for key in by_code],
            [key.currency for key in by_code],
        )
        found: dict[Any, Any] = {}
        for row in map(to_account, rows):
            found[row.id] = row
            if row.wallet_id is not None:
                found[WalletKey(row.wallet_id, row.currency)] = row
            if row.code is not None:
                found[CodeKey(row.code, row.currency)] = row
        return found

    async def write(self, tx: TenantTx, rows: Sequence[AccountRow]) -> None:
        """Insert the new accounts, and set the balances and facts of the others."""
        await tx.execute(
            """
            INSERT INTO accounts AS a (
                id, code, type, normal_side, currency, wallet_id, name, status, overdraft_limit_minor,
                posted_minor, pending_minor, held_minor, metadata, version, created_at, updated_at)
            SELECT n.id, n.code, n.type, n.normal_side, n.currency, n.wallet_id, n.name, n.status,
                n.overdraft_limit_minor, n.posted_minor, n.pending_minor, n.held_minor, n.metadata, n.version,
                n.created_at, n.updated_at
            FROM unnest(
                $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[],
                $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::jsonb[], $14::bigint[],
                $15::timestamptz[], $16::timestamptz[]
            ) AS n (id, code, type, normal_side, currency, wallet_id, name, status, overdraft_limit_minor,
                posted_minor, pending_minor, held_minor, metadata, version, created_at, updated_at)
            ON CONFLICT (id) DO UPDATE SET
                name = excluded.name, status = excluded.status,
                overdraft_limit_minor = excluded.overdraft_limit_minor, posted_minor = excluded.posted_minor,
                pending_minor = excluded.pending_minor, held_minor = excluded.held_minor,
                metadata = excluded.metadata, version = excluded.version, updated_at = excluded.updated_at
            """,
            [row.id for row in rows],
            [row.code for row in rows],
            [row.type.value for row in rows],
            [row.normal_side.value for row in rows],
            [row.currency for row in rows],
            [row.wallet_id for row in rows],
            [row.name for row in rows],
            [row.status for row in rows],
            [row.overdraft_limit_minor for row in rows],
            [row.posted_minor for row in rows],
            [row.pending_minor for row in rows],
            [row.held_minor for row in rows],
            _texts([row.metadata for row in rows]),
            [row.version for row in rows],
            [row.created_at for row in rows],
            [row.updated_at for row in rows],
        )


# Journal entries.

ENTRY_COLUMNS: Final = (
    "j.id, j.sequence, j.kind, j.description, j.reverses, j.hold_id, j.effective_at, j.recorded_at, j.metadata"
)


async def with_postings(tx: TenantTx, heads: Sequence[asyncpg.Record]) -> list[EntryRow]:
    """Return the entries of these heads, with their postings from one further query."""
    rows = await tx.fetch(
        """
        SELECT p.sequence, p.line, p.account_id, a.normal_side, p.amount_minor, p.currency, p.posted_after_minor
        FROM postings AS p JOIN accounts AS a ON a.id = p.account_id
        WHERE p.sequence = ANY($1::bigint[])
        ORDER BY p.sequence, p.line
        """,
        [head["sequence"] for head in heads],
    )
    postings: dict[int, list[PostingRow]] = {}
    for row in rows:
        facts = dict(row)
        sequence = facts.pop("sequence")
        facts["normal_side"] = NormalSide(facts["normal_side"])
        postings.setdefault(sequence, []).append(PostingRow(**facts))
    entries = []
    for head in heads:
        facts = dict(head)
        facts["metadata"] = msgspec.json.decode(facts["metadata"])
        entries.append(EntryRow(**facts, postings=tuple(postings.get(head["sequence"], ()))))
    return entries


class _Entries:
    row_type = EntryRow

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return journal entries by id, with their postings."""
        heads = await tx.fetch(
            f"SELECT {ENTRY_COLUMNS} FROM journal_entries AS j WHERE j.id = ANY($1::uuid[])",  # noqa: S608 - constant
            list(keys),
        )
        return {entry.id: entry for entry in await with_postings(tx, heads)} if heads else {}

    async def write(self, tx: TenantTx, rows: Sequence[EntryRow]) -> None:
        """Journal entries are written with the books, never by themselves."""
        raise NotImplementedError


async def _write_entries(tx: TenantTx, entries: Sequence[EntryRow]) -> None:
    await tx.execute(
        """
        INSERT INTO journal_entries (
            id, sequence, kind, description, reverses, hold_id, effective_at, recorded_at, metadata)
        SELECT n.id, n.sequence, n.kind, n.description, n.reverses, n.hold_id, n.effective_at, n.recorded_at, n.metadata
        FROM unnest(
            $1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::timestamptz[],
            $8::timestamptz[], $9::jsonb[]
        ) AS n (id, sequence, kind, description, reverses, hold_id, effective_at, recorded_at, metadata)
        """,
        [entry.id for entry in entries],
        [entry.sequence for entry in entries],
        [entry.kind for entry in entries],
        [entry.description for entry in entries],
        [entry.reverses for entry in entries],
        [entry.hold_id for entry in entries],
        [entry.effective_at for entry in entries],
        [entry.recorded_at for entry in entries],
        _texts([entry.metadata for entry in entries]),
    )
    lines = [(entry, posting) for entry in entries for posting in entry.postings]
    await tx.execute(
        """
        INSERT INTO postings (
            sequence, line, account_id, amount_minor, currency, posted_after_minor, effective_at, recorded_at)
        SELECT n.sequence, n.line, n.account_id, n.amount_minor, n.currency, n.posted_after_minor, n.effective_at,
            n.recorded_at
        FROM unnest(
            $1::bigint[], $2::smallint[], $3::uuid[], $4::bigint[], $5::text[], $6::bigint[], $7::timestamptz[],
            $8::timestamptz[]
        ) AS n (sequence, line, account_id, amount_minor, currency, posted_after_minor, effective_at, recorded_at)
        """,
        [entry.sequence for entry, _ in lines],
        [posting.line for _, posting in lines],
        [posting.account_id for _, posting in lines],
        [posting.amount_minor for _, posting in lines],
        [posting.currency for _, posting in lines],
        [posting.posted_after_minor for _, posting in lines],
        [entry.effective_at for entry, _ in lines],
        [entry.recorded_at for entry, _ in lines],
    )


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

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return holds by id."""
        rows = await tx.fetch(
            f"SELECT {HOLD_COLUMNS} FROM holds AS h WHERE h.id = ANY($1::uuid[])",  # noqa: S608 - constant
            list(keys),
        )
        return {hold.id: hold for hold in map(to_hold, rows)}

    async def write(self, tx: TenantTx, rows: Sequence[HoldRow]) -> None:
        """Insert the new holds, and set what has become of the others."""
        # Arrays of arrays can't be unnested row by row, so the entries travel as JSON.
        await tx.execute(
            """
            INSERT INTO holds AS h (
                id, wallet_id, account_id, to_wallet_id, to_account_id, currency, amount_minor, captured_minor,
                released_minor, status, expires_at, description, metadata, steps, journal_entry_ids, created_at,
                updated_at)
            SELECT n.id, n.wallet_id, n.account_id, n.to_wallet_id, n.to_account_id, n.currency, n.amount_minor,
                n.captured_minor, n.released_minor, n.status, n.expires_at, n.description, n.metadata, n.steps,
                ARRAY(SELECT jsonb_array_elements_text(n.entries)::uuid), n.created_at, n.updated_at
            FROM unnest(
                $1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::bigint[], $8::bigint[],
                $9::bigint[], $10::text[], $11::timestamptz[], $12::text[], $13::jsonb[], $14::int[], $15::jsonb[],
                $16::timestamptz[], $17::timestamptz[]
            ) AS n (id, wallet_id, account_id, to_wallet_id, to_account_id, currency, amount_minor, captured_minor,
                released_minor, status, expires_at, description, metadata, steps, entries, created_at, updated_at)
            ON CONFLICT (id) DO UPDATE SET
                captured_minor = excluded.captured_minor, released_minor = excluded.released_minor,
                status = excluded.status, steps = excluded.steps, journal_entry_ids = excluded.journal_entry_ids,
                updated_at = excluded.updated_at
            """,
            [row.id for row in rows],
            [row.wallet_id for row in rows],
            [row.account_id for row in rows],
            [row.to_wallet_id for row in rows],
            [row.to_account_id for row in rows],
            [row.currency for row in rows],
            [row.amount_minor for row in rows],
            [row.captured_minor for row in rows],
            [row.released_minor for row in rows],
            [row.status.value for row in rows],
            [row.expires_at for row in rows],
            [row.description for row in rows],
            _texts([row.metadata for row in rows]),
            [row.steps for row in rows],
            [msgspec.json.encode(row.journal_entry_ids).decode() for row in rows],
            [row.created_at for row in rows],
            [row.updated_at for row in rows],
        )


class _HoldMovements:
    row_type = HoldMovementRow

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Movements are only ever added."""
        raise NotImplementedError

    async def write(self, tx: TenantTx, rows: Sequence[HoldMovementRow]) -> None:
        """Add the movements."""
        await tx.execute(
            """
            INSERT INTO hold_movements (
                hold_id, step, account_id, to_account_id, delta_minor, effective_at, recorded_at)
            SELECT n.hold_id, n.step, n.account_id, n.to_account_id, n.delta_minor, n.effective_at, n.recorded_at
            FROM unnest(
                $1::uuid[], $2::int[], $3::uuid[], $4::uuid[], $5::bigint[], $6::timestamptz[], $7::timestamptz[]
            ) AS n (hold_id, step, account_id, to_account_id, delta_minor, effective_at, recorded_at)
            """,
            [row.hold_id for row in rows],
            [row.step for row in rows],
            [row.account_id for row in rows],
            [row.to_account_id for row in rows],
            [row.delta_minor for row in rows],
            [row.effective_at for row in rows],
            [row.recorded_at for row in rows],
        )


class _Reversals:
    row_type = ReversalRow

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

    async def write(self, tx: TenantTx, rows: Sequence[ReversalRow]) -> None:
        """Set how much has been undone."""
        await tx.execute(
            """
            INSERT INTO reversals AS r (journal_entry_id, amount_minor, reversed_minor)
            SELECT n.journal_entry_id, n.amount_minor, n.reversed_minor
            FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS n (journal_entry_id, amount_minor, reversed_minor)
            ON CONFLICT (journal_entry_id) DO UPDATE SET reversed_minor = excluded.reversed_minor
            """,
            [row.journal_entry_id for row in rows],
            [row.amount_minor for row in rows],
            [row.reversed_minor for row in rows],
        )


STORES: Final = (_Accounts(), _Entries(), _Holds(), _HoldMovements(), _Reversals())
"""The ledger's own rows, as the engine loads and writes them."""


async def write_ledger(tx: TenantTx, books: Books) -> None:
    """Write what a batch has added: entries, events, audit and jobs; and move the head."""
    if books.entries:
        await _write_entries(tx, books.entries)
    if books.events:
        await outbox.emit(tx, *books.events)
    if books.audit_records:
        await audit.record(tx, *books.audit_records)
    if books.jobs:
        await jobs.enqueue(tx, *books.jobs)
    if books.changed or books.entries:
        await tx.execute(
            "UPDATE ledger_head SET sequence = $1, recorded_at = $2 WHERE id = 1", books.sequence, books.recorded_at
        )


async def write_answers(tx: TenantTx, answers: Sequence[StoredAnswer]) -> None:
    """Keep the answers under their keys. A key that is claimed by a request of another kind is waited for."""
    await tx.execute(
        """
        INSERT INTO idempotency_keys (client_id, key, fingerprint, status, body, created_at)
        SELECT n.client_id, n.key, n.fingerprint, n.status, n.body, n.created_at
        FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::smallint[], $5::bytea[], $6::timestamptz[])
            AS n (client_id, key, fingerprint, status, body, created_at)
        """,
        [answer.client_id for answer in answers],
        [answer.key for answer in answers],
        [answer.fingerprint for answer in answers],
        [answer.status for answer in answers],
        [answer.body for answer in answers],
        [answer.created_at for answer in answers],
    )
