"""The SQL of the wallets room on the engine's side: what a batch loads, and what it writes as sets."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold.contract.wallets import AliasScheme, WalletStatus
from billfold_server.db.sets import Columns, Write, documents, instants, integers, texts, uuids
from billfold_server.parties import service as parties
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets.rows import AliasKey, AliasRow, BritishRow, PartyRow, TransferRow, WalletRow

__all__ = [
    "ALIAS_COLUMNS",
    "BRITISH_IBANS",
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
    "t.from_balance_after_minor, t.to_balance_after_minor, t.description, t.metadata, "
    "t.effective_at, t.recorded_at, t.actor, t.request_id"
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
    # Parties are made by their own room, so that one isn't there now says nothing of the next moment.
    row_type = PartyRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return which of these parties exist."""
        existing = await parties.find_existing(tx, [key for key in keys if isinstance(key, UUID)])
        return {party_id: PartyRow(party_id) for party_id in existing}


class _Wallets:
    row_type = WalletRow
    cached = True

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return wallets by id."""
        rows = await tx.fetch(
            f"SELECT {WALLET_COLUMNS} FROM wallets AS w WHERE w.id = ANY($1::uuid[])",  # noqa: S608 - constant
            list(keys),
        )
        return {wallet.id: wallet for wallet in map(to_wallet, rows)}

    def writes(self, rows: Sequence[WalletRow], _before: Mapping[Hashable, WalletRow | None]) -> list[Write]:
        """Insert the new wallets, and set what may change of the others."""
        arguments = (
            uuids([row.id for row in rows]),
            uuids([row.party_id for row in rows]),
            texts([row.status.value for row in rows]),
            texts([row.status_reason for row in rows]),
            texts([row.label for row in rows]),
            texts([msgspec.json.encode(row.currencies).decode() for row in rows]),
            documents([row.metadata for row in rows]),
            integers([row.version for row in rows]),
            instants([row.created_at for row in rows]),
            instants([row.updated_at for row in rows]),
        )
        return [Write(_UPSERT_WALLETS, arguments)]


# The currencies travel as JSON, because an array of arrays can't be unnested row by row.
_UPSERT_WALLETS: Final = """
    INSERT INTO wallets AS w (
        id, party_id, status, status_reason, label, currencies, metadata, version, created_at, updated_at)
    SELECT n.id, n.party_id, n.status, n.status_reason, n.label,
        ARRAY(SELECT jsonb_array_elements_text(n.currencies::jsonb)), n.metadata::jsonb, n.version, n.created_at,
        n.updated_at
    FROM unnest(
        $1::text::uuid[], $2::text::uuid[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[],
        $7::text::text[],
        $8::text::bigint[], $9::text::timestamptz[], $10::text::timestamptz[]
    ) AS n (id, party_id, status, status_reason, label, currencies, metadata, version, created_at, updated_at)
    ON CONFLICT (id) DO UPDATE SET
        status = excluded.status, status_reason = excluded.status_reason, label = excluded.label,
        currencies = excluded.currencies, metadata = excluded.metadata, version = excluded.version,
        updated_at = excluded.updated_at
"""


class _Aliases:
    row_type = AliasRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return aliases by what they say."""
        wanted = [key for key in keys if isinstance(key, AliasKey)]
        rows = await tx.fetch(
            f"""
            SELECT {ALIAS_COLUMNS} FROM unnest($1::text::text[], $2::text::text[]) AS n (scheme, normal_value)
            JOIN wallet_aliases AS a ON a.scheme = n.scheme AND a.normal_value = n.normal_value
            """,  # noqa: S608 - constant
            texts([key.scheme.value for key in wanted]),
            texts([key.normal_value for key in wanted]),
        )
        return {alias.key: alias for alias in map(to_alias, rows)}

    def writes(self, rows: Sequence[AliasRow], before: Mapping[Hashable, AliasRow | None]) -> list[Write]:
        """Take away the aliases that were deleted, give away those that moved, and add the new ones."""
        # No part of a statement sees what another did, so a name that moves to another wallet is changed in its place.
        taken = {key for key, was in before.items() if was is not None and not was.deleted}
        gone = [row for row in rows if row.key in taken and row.deleted]
        moved = [row for row in rows if row.key in taken and not row.deleted]
        new = [row for row in rows if row.key not in taken and not row.deleted]
        writes = []
        if gone:
            writes.append(Write(_DELETE_ALIASES, _alias_keys(gone)))
        if moved:
            writes.append(Write(_REPLACE_ALIASES, _alias_columns(moved)))
        if new:
            writes.append(Write(_INSERT_ALIASES, _alias_columns(new)))
        return writes


_DELETE_ALIASES: Final = """
    DELETE FROM wallet_aliases AS a USING unnest($1::text::text[], $2::text::text[]) AS n (scheme, normal_value)
    WHERE a.scheme = n.scheme AND a.normal_value = n.normal_value
"""
_REPLACE_ALIASES: Final = """
    UPDATE wallet_aliases AS a SET
        id = n.id, wallet_id = n.wallet_id, value = n.value, created_at = n.created_at
    FROM unnest($1::text::uuid[], $2::text::uuid[], $3::text::text[], $4::text::text[], $5::text::text[],
    $6::text::timestamptz[])
        AS n (id, wallet_id, scheme, value, normal_value, created_at)
    WHERE a.scheme = n.scheme AND a.normal_value = n.normal_value
"""
_INSERT_ALIASES: Final = """
    INSERT INTO wallet_aliases (id, wallet_id, scheme, value, normal_value, created_at)
    SELECT n.id, n.wallet_id, n.scheme, n.value, n.normal_value, n.created_at
    FROM unnest($1::text::uuid[], $2::text::uuid[], $3::text::text[], $4::text::text[], $5::text::text[],
    $6::text::timestamptz[])
        AS n (id, wallet_id, scheme, value, normal_value, created_at)
"""


def _alias_keys(rows: Sequence[AliasRow]) -> tuple[Any, ...]:
    return texts([row.scheme.value for row in rows]), texts([row.normal_value for row in rows])


def _alias_columns(rows: Sequence[AliasRow]) -> tuple[Any, ...]:
    return (
        uuids([row.id for row in rows]),
        uuids([row.wallet_id for row in rows]),
        texts([row.scheme.value for row in rows]),
        texts([row.value for row in rows]),
        texts([row.normal_value for row in rows]),
        instants([row.created_at for row in rows]),
    )


# As the index has it.
BRITISH_IBANS: Final = """
    SELECT right(a.normal_value, 14) AS number, array_agg(a.normal_value ORDER BY a.normal_value) AS ibans
    FROM wallet_aliases AS a
    WHERE a.scheme = 'iban' AND a.normal_value LIKE 'GB%' AND right(a.normal_value, 14) = ANY($1::text[])
    GROUP BY number
"""


class _BritishIbans:
    row_type = BritishRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return the IBANs that end in these sort codes and account numbers."""
        rows = await tx.fetch(BRITISH_IBANS, list(keys))
        return {row["number"]: BritishRow(row["number"], tuple(row["ibans"])) for row in rows}


class _Transfers:
    row_type = TransferRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return transfers, top-ups and withdrawals by id."""
        rows = await tx.fetch(
            f"SELECT {TRANSFER_COLUMNS} FROM transfers AS t "  # noqa: S608 - constant
            "WHERE t.kind = ANY($1::text[]) AND t.id = ANY($2::uuid[])",
            ["transfer", "top_up", "withdrawal"],
            list(keys),
        )
        return {transfer.id: transfer for transfer in map(to_transfer, rows)}

    def writes(self, rows: Sequence[TransferRow], _before: Mapping[Hashable, TransferRow | None]) -> list[Write]:
        """Add the new ones; none is ever changed."""
        arguments = _TRANSFERS.arguments(
            [row.id for row in rows],
            [row.kind for row in rows],
            [row.from_wallet_id for row in rows],
            [row.to_wallet_id for row in rows],
            [row.cash_account_id for row in rows],
            [row.amount_minor for row in rows],
            [row.currency for row in rows],
            [row.from_balance_after_minor for row in rows],
            [row.to_balance_after_minor for row in rows],
            [row.description for row in rows],
            [row.metadata for row in rows],
            [row.effective_at for row in rows],
            [row.recorded_at for row in rows],
            [row.actor for row in rows],
            [row.request_id for row in rows],
        )
        return [Write(_INSERT_TRANSFERS, arguments)]


_TRANSFERS: Final = Columns(
    id="uuid",
    kind="text",
    from_wallet_id="uuid",
    to_wallet_id="uuid",
    cash_account_id="uuid",
    amount_minor="bigint",
    currency="text",
    from_balance_after_minor="bigint",
    to_balance_after_minor="bigint",
    description="text",
    metadata="jsonb",
    effective_at="timestamptz",
    recorded_at="timestamptz",
    actor="text",
    request_id="text",
)
_INSERT_TRANSFERS: Final = (
    f"INSERT INTO transfers ({_TRANSFERS.names}) SELECT {_TRANSFERS.values} FROM {_TRANSFERS.rows}"  # noqa: S608 - constants
)

STORES: Final = (_Parties(), _Wallets(), _Aliases(), _BritishIbans(), _Transfers())
"""The rows of this room, as the engine loads and writes them."""
