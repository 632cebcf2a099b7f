"""The SQL of the wallets room on the engine's side: what a batch loads, and what it writes as sets."""

from collections.abc import Hashable, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold.contract.wallets import AliasScheme, WalletStatus
from billfold_server.parties import service as parties
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets.rows import AliasKey, AliasRow, PartyRow, TransferRow, WalletRow

__all__ = [
    "ALIAS_COLUMNS",
    "STORES",
    "TRANSFER_COLUMNS",
    "WALLET_COLUMNS",
    "to_alias",
    "to_transfer",
    "to_wallet",
]

WALLET_COLUMNS: Final = (
    "w.id, w.party_id, w.status, w.status_reason, w.label, w.currencies, w.metadata, w.version, w.created_at, "
    "w.updated_at"
)
ALIAS_COLUMNS: Final = "a.id, a.wallet_id, a.scheme, a.value, a.normal_value, a.created_at"
TRANSFER_COLUMNS: Final = (
    "t.id, t.kind, t.from_wallet_id, t.to_wallet_id, t.cash_account_id, t.amount_minor, t.currency, "
    "t.from_balance_after_minor, t.to_balance_after_minor, t.journal_entry_id, t.description, t.metadata, "
    "t.effective_at, t.recorded_at"
)


def to_wallet(row: asyncpg.Record) -> WalletRow:
    """Return the wallet that a row of ``WALLET_COLUMNS`` holds."""
    facts = dict(row)
    facts["status"] = WalletStatus(facts["status"])
    facts["currencies"] = tuple(facts["currencies"])
    facts["metadata"] = msgspec.json.decode(facts["metadata"])
    return WalletRow(**facts)


def to_alias(row: asyncpg.Record) -> AliasRow:
    """Return the alias that a row of ``ALIAS_COLUMNS`` holds."""
    facts = dict(row)
    facts["scheme"] = AliasScheme(facts["scheme"])
    return AliasRow(**facts)


def to_transfer(row: asyncpg.Record) -> TransferRow:
    """Return the transfer, top-up or withdrawal that a row of ``TRANSFER_COLUMNS`` holds."""
    facts = dict(row)
    facts["metadata"] = msgspec.json.decode(facts["metadata"])
    return TransferRow(**facts)


class _Parties:
    row_type = PartyRow

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return which of these parties exist."""
        existing = await parties.find_existing(tx, [key for key in keys if isinstance(key, UUID)])
        return {party_id: PartyRow(party_id) for party_id in existing}

    async def write(self, tx: TenantTx, rows: Sequence[PartyRow]) -> None:
        """Parties are written by their own room."""
        raise NotImplementedError


class _Wallets:
    row_type = WalletRow

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return wallets by id."""
        rows = await tx.fetch(
            f"SELECT {WALLET_COLUMNS} FROM wallets AS w WHERE w.id = ANY($1::uuid[])",  # noqa: S608 - constant
            list(keys),
        )
        return {wallet.id: wallet for wallet in map(to_wallet, rows)}

    async def write(self, tx: TenantTx, rows: Sequence[WalletRow]) -> None:
        """Insert the new wallets, and set what may change of the others."""
        # The currencies travel as JSON, because an array of arrays can't be unnested row by row.
        await tx.execute(
            """
            INSERT INTO wallets AS w (
                id, party_id, status, status_reason, label, currencies, metadata, version, created_at, updated_at)
            SELECT n.id, n.party_id, n.status, n.status_reason, n.label,
                ARRAY(SELECT jsonb_array_elements_text(n.currencies)), n.metadata, n.version, n.created_at, n.updated_at
            FROM unnest(
                $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::bigint[],
                $9::timestamptz[], $10::timestamptz[]
            ) AS n (id, party_id, status, status_reason, label, currencies, metadata, version, created_at, updated_at)
            ON CONFLICT (id) DO UPDATE SET
                status = excluded.status, status_reason = excluded.status_reason, label = excluded.label,
                currencies = excluded.currencies, metadata = excluded.metadata, version = excluded.version,
                updated_at = excluded.updated_at
            """,
            [row.id for row in rows],
            [row.party_id for row in rows],
            [row.status.value for row in rows],
            [row.status_reason for row in rows],
            [row.label for row in rows],
            [msgspec.json.encode(row.currencies).decode() for row in rows],
            [msgspec.json.encode(row.metadata).decode() for row in rows],
            [row.version for row in rows],
            [row.created_at for row in rows],
            [row.updated_at for row in rows],
        )


class _Aliases:
    row_type = AliasRow

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return aliases by what they say."""
        wanted = [key for key in keys if isinstance(key, AliasKey)]
        rows = await tx.fetch(
            f"""
            SELECT {ALIAS_COLUMNS} FROM unnest($1::text[], $2::text[]) AS n (scheme, normal_value)
            JOIN wallet_aliases AS a ON a.scheme = n.scheme AND a.normal_value = n.normal_value
            """,  # noqa: S608 - constant
            [key.scheme.value for key in wanted],
            [key.normal_value for key in wanted],
        )
        return {alias.key: alias for alias in map(to_alias, rows)}

    async def write(self, tx: TenantTx, rows: Sequence[AliasRow]) -> None:
        """Take away the aliases that were deleted, and add the new ones."""
        # One name can be taken from one wallet and given to another in the same batch, so the old row goes first.
        await tx.execute(
            """
            DELETE FROM wallet_aliases AS a USING unnest($1::text[], $2::text[]) AS n (scheme, normal_value)
            WHERE a.scheme = n.scheme AND a.normal_value = n.normal_value
            """,
            [row.scheme.value for row in rows],
            [row.normal_value for row in rows],
        )
        kept = [row for row in rows if not row.deleted]
        await tx.execute(
            """
            INSERT INTO wallet_aliases (id, wallet_id, scheme, value, normal_value, created_at)
            SELECT n.id, n.wallet_id, n.scheme, n.value, n.normal_value, n.created_at
            FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
                AS n (id, wallet_id, scheme, value, normal_value, created_at)
            """,
            [row.id for row in kept],
            [row.wallet_id for row in kept],
            [row.scheme.value for row in kept],
            [row.value for row in kept],
            [row.normal_value for row in kept],
            [row.created_at for row in kept],
        )


class _Transfers:
    row_type = TransferRow

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return transfers, top-ups and withdrawals by id."""
        rows = await tx.fetch(
            f"SELECT {TRANSFER_COLUMNS} FROM transfers AS t WHERE t.id = ANY($1::uuid[])",  # noqa: S608 - constant
            list(keys),
        )
        return {transfer.id: transfer for transfer in map(to_transfer, rows)}

    async def write(self, tx: TenantTx, rows: Sequence[TransferRow]) -> None:
        """Add the new ones; none is ever changed."""
        await tx.execute(
            """
            INSERT INTO transfers (
                id, kind, from_wallet_id, to_wallet_id, cash_account_id, amount_minor, currency,
                from_balance_after_minor, to_balance_after_minor, journal_entry_id, description, metadata,
                effective_at, recorded_at)
            SELECT n.id, n.kind, n.from_wallet_id, n.to_wallet_id, n.cash_account_id, n.amount_minor, n.currency,
                n.from_balance_after_minor, n.to_balance_after_minor, n.journal_entry_id, n.description, n.metadata,
                n.effective_at, n.recorded_at
            FROM unnest(
                $1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[], $7::text[], $8::bigint[],
                $9::bigint[], $10::uuid[], $11::text[], $12::jsonb[], $13::timestamptz[], $14::timestamptz[]
            ) AS n (id, kind, from_wallet_id, to_wallet_id, cash_account_id, amount_minor, currency,
                from_balance_after_minor, to_balance_after_minor, journal_entry_id, description, metadata,
                effective_at, recorded_at)
            """,
            [row.id for row in rows],
            [row.kind for row in rows],
            [row.from_wallet_id for row in rows],
            [row.to_wallet_id for row in rows],
            [row.cash_account_id for row in rows],
            [row.amount_minor for row in rows],
            [row.currency for row in rows],
            [row.from_balance_after_minor for row in rows],
            [row.to_balance_after_minor for row in rows],
            [row.journal_entry_id for row in rows],
            [row.description for row in rows],
            [msgspec.json.encode(row.metadata).decode() for row in rows],
            [row.effective_at for row in rows],
            [row.recorded_at for row in rows],
        )


STORES: Final = (_Parties(), _Wallets(), _Aliases(), _Transfers())
"""The rows of this room, as the engine loads and writes them."""
