"""The ledger's SQL on the engine's side: what a batch loads, and what it writes as sets.

Writes are single statements over ``unnest``; the columns are always named.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold.contract.ledger import AccountType, HoldStatus, NormalSide
from billfold_server.db.sets import Columns, Write, documents, instants, integers, octets, texts, uuids
from billfold_server.ledger.rows import (
    AccountRow,
    CodeKey,
    EntryRow,
    GrantKey,
    GrantRow,
    HoldMovementRow,
    HoldRow,
    PostingRow,
    ReversalRow,
    WalletKey,
)
from billfold_server.ledger.terms import STORES as TERMS
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "ACCOUNT_COLUMNS",
    "ENTRY_COLUMNS",
    "HOLD_COLUMNS",
    "STORES",
    "to_account",
    "to_hold",
    "with_postings",
]

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
_MOVED: Final = Columns(
    id="uuid", posted_minor="bigint", pending_minor="bigint", held_minor="bigint", updated_at="timestamptz"
)
_MOVE_BALANCES: Final = f"""
    UPDATE accounts AS a SET
        posted_minor = {_MOVED.value["posted_minor"]}, pending_minor = {_MOVED.value["pending_minor"]},
        held_minor = {_MOVED.value["held_minor"]}, updated_at = {_MOVED.value["updated_at"]}
    FROM {_MOVED.rows} WHERE a.id = n.id
"""  # noqa: S608 - constants


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
    arguments = _MOVED.arguments(
        [row.id for row in rows],
        [row.posted_minor for row in rows],
        [row.pending_minor for row in rows],
        [row.held_minor for row in rows],
        [row.updated_at for row in rows],
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
    if not heads:
        return []
    wanted = [head["id"] for head in heads]
    # The bounds say nothing new; by them the months that hold none of these are left out.
    rows = await tx.fetch(
        """
        SELECT p.entry_id, p.line, p.account_id, a.normal_side, p.amount_minor, p.currency, p.posted_after_minor,
            p.late_class
        FROM postings AS p JOIN accounts AS a ON a.id = p.account_id
        WHERE p.entry_id = ANY($1::uuid[]) AND p.entry_id BETWEEN $2 AND $3
        ORDER BY p.entry_id, p.line
        """,
        wanted,
        min(wanted),
        max(wanted),
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


_STANDING: Final = """
    SELECT w.grant_id, w.token_digest
    FROM unnest($1::uuid[], $2::bytea[]) AS w (grant_id, token_digest) JOIN grants AS g ON g.id = w.grant_id
    WHERE g.revoked_at IS NULL AND NOT EXISTS (SELECT FROM revoked_tokens AS r WHERE r.digest = w.token_digest)
"""
# By ids and digests alone, so that no plan that was made for a few grants reads all of many. All must stand, so none of
# the tokens may be revoked, whichever it belongs to.
_ALL_STAND: Final = """
    $3::bigint = (
        SELECT count(*)
        FROM (
            SELECT g.id FROM grants AS g WHERE g.id = ANY($1::text::uuid[]) AND g.revoked_at IS NULL OFFSET 0
        ) AS g
        JOIN unnest($1::text::uuid[]) AS w (grant_id) ON w.grant_id = g.id
    ) AND NOT EXISTS (SELECT FROM revoked_tokens AS r WHERE r.digest = ANY($2::text::bytea[]))
"""


class _Grants:
    # Users end them by transactions of their own, so what was read before says nothing of now.
    row_type = GrantRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return those that stand. As in ``Call.tx()``, one may end a moment after."""
        wanted = [key for key in keys if isinstance(key, GrantKey)]
        rows = await tx.fetch(_STANDING, [key.grant_id for key in wanted], [key.token_digest for key in wanted])
        found = (GrantKey(*row) for row in rows)
        return {key: GrantRow(key) for key in found}

    def guard(self, rows: Sequence[GrantRow]) -> Write:
        """Return a condition that holds where all of them stand."""
        keys = [row.key for row in rows]
        digests = octets([key.token_digest for key in keys])
        return Write(_ALL_STAND, (uuids([key.grant_id for key in keys]), digests, len(keys)))


STORES: Final = (_Accounts(), _Entries(), _Holds(), _HoldMovements(), _Reversals(), _Grants(), *TERMS)
"""The ledger's own rows, as the engine loads and writes them."""
