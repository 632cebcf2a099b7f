"""The SQL of the wallets room on the readers' side. Lists are keyset pages, newest first."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from billfold.contract.wallets import AliasScheme
from billfold_server.db.filters import Filter
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets.rows import AliasKey, AliasRow, OtherSide, Sought, TransferRow, WalletRow
from billfold_server.wallets.stores import (
    ALIAS_COLUMNS,
    BRITISH_IBANS,
    TRANSFER_COLUMNS,
    WALLET_COLUMNS,
    to_alias,
    to_transfer,
    to_wallet,
)

__all__ = [
    "ALIASES_OF",
    "BLANK_TRANSFERS",
    "BLANK_WALLETS",
    "DELETE_ALIASES",
    "TRANSFERS_OF",
    "WALLETS_OF",
    "find_alias",
    "find_alias_owners",
    "find_known_as",
    "find_moved",
    "find_ordered_owners",
    "find_transfer",
    "find_wallet",
    "find_wallets",
    "list_aliases",
    "list_british_ibans",
    "list_ibans",
    "list_moved_sides",
    "list_other_sides",
    "list_said_of_top_ups",
    "list_transfers",
    "list_wallets",
    "list_wallets_of",
    "search_wallets",
    "standing_of",
]

# S608 below: the texts are made of constants and numbered parameters only.


async def find_wallet(tx: TenantTx, wallet_id: UUID) -> WalletRow | None:
    """Return a wallet, or None."""
    row = await tx.fetchrow(f"SELECT {WALLET_COLUMNS} FROM wallets AS w WHERE w.id = $1", wallet_id)  # noqa: S608
    return None if row is None else to_wallet(row)


async def find_wallets(tx: TenantTx, wallet_ids: Sequence[UUID]) -> list[WalletRow]:
    """Return which of these ids are wallets, with the wallets."""
    rows = await tx.fetch(
        f"SELECT {WALLET_COLUMNS} FROM wallets AS w WHERE w.id = ANY($1::uuid[])",  # noqa: S608
        list(wallet_ids),
    )
    return [to_wallet(row) for row in rows]


async def list_ibans(tx: TenantTx, wallet_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the oldest IBAN of each of these wallets, in its normal form."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (a.wallet_id) a.wallet_id, a.normal_value FROM wallet_aliases AS a
        WHERE a.wallet_id = ANY($1::uuid[]) AND a.scheme = 'iban' ORDER BY a.wallet_id, a.id
        """,
        list(wallet_ids),
    )
    return {row["wallet_id"]: row["normal_value"] for row in rows}


# Who is paid is often the same: each is answered once, with the places at which it stands. OFFSET keeps the planner
# from reading the whole table while it is small, by a plan that is kept when it has grown.
_OTHER_SIDES: Final = """
    WITH found AS MATERIALIZED (
        SELECT n.place,
            CASE WHEN t.from_wallet_id = n.wallet_id THEN t.to_wallet_id ELSE t.from_wallet_id END AS other_id,
            t.metadata->>'merchant_name' AS merchant_name,
            t.metadata->>'merchant_category_code' AS merchant_category_code
        FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS n (wallet_id, entry_id, place)
        CROSS JOIN LATERAL (
            SELECT t.from_wallet_id, t.to_wallet_id, t.metadata
            FROM transfers AS t WHERE t.id = n.entry_id OFFSET 0) AS t)
    SELECT f.other_id, (
            SELECT a.normal_value FROM wallet_aliases AS a
            WHERE a.wallet_id = f.other_id AND a.scheme = 'iban' ORDER BY a.id LIMIT 1) AS iban,
        f.merchant_name, f.merchant_category_code, array_agg(f.place::int) AS places
    FROM found AS f GROUP BY f.other_id, f.merchant_name, f.merchant_category_code
"""

# A hold's capture and a reversing entry have no record beside their postings: who stands on the other side is read from
# these, and whom the hold or the transfer was meant for from what was said with it.
_MOVED_SIDES: Final = """
    WITH found AS MATERIALIZED (
        SELECT n.place, p.wallet_ids[1] AS other_id, s.metadata->>'merchant_name' AS merchant_name,
            s.metadata->>'merchant_category_code' AS merchant_category_code
        FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS n (wallet_id, entry_id, place)
        CROSS JOIN LATERAL (
            SELECT j.hold_id, j.reverses FROM journal_entries AS j WHERE j.id = n.entry_id OFFSET 0) AS j
        LEFT JOIN LATERAL (SELECT o.hold_id FROM journal_entries AS o WHERE o.id = j.reverses OFFSET 0) AS o ON TRUE
        LEFT JOIN LATERAL (
            SELECT h.metadata FROM holds AS h WHERE h.id = coalesce(j.hold_id, o.hold_id)
            UNION ALL
            SELECT t.metadata FROM transfers AS t WHERE t.id = j.reverses
            OFFSET 0) AS s ON TRUE
        CROSS JOIN LATERAL (
            SELECT array_agg(DISTINCT a.wallet_id) AS wallet_ids
            FROM postings AS p JOIN accounts AS a ON a.id = p.account_id
            WHERE p.entry_id = n.entry_id AND a.wallet_id <> n.wallet_id) AS p)
    SELECT f.other_id, (
            SELECT a.normal_value FROM wallet_aliases AS a
            WHERE a.wallet_id = f.other_id AND a.scheme = 'iban' ORDER BY a.id LIMIT 1) AS iban,
        f.merchant_name, f.merchant_category_code, array_agg(f.place::int) AS places
    FROM found AS f GROUP BY f.other_id, f.merchant_name, f.merchant_category_code
"""


async def list_said_of_top_ups(tx: TenantTx, entry_ids: Sequence[UUID], name: str, *, actor: str) -> dict[UUID, str]:
    """Return what an actor has said under a name with the top-ups that it made, by their entries."""
    rows = await tx.fetch(
        "SELECT t.id, t.metadata->>$2 AS said FROM transfers AS t "
        "WHERE t.kind = 'top_up' AND t.id = ANY($1::uuid[]) AND t.actor = $3 AND t.metadata ? $2",
        list(entry_ids),
        name,
        actor,
    )
    return {row["id"]: row["said"] for row in rows}


async def list_other_sides(tx: TenantTx, wallets_and_entries: Sequence[tuple[UUID, UUID]]) -> list[OtherSide | None]:
    """Return what stands on the other side of what moved in wallets, each at the place of its wallet and entry."""
    return await _sides(tx, _OTHER_SIDES, wallets_and_entries)


async def list_moved_sides(tx: TenantTx, wallets_and_entries: Sequence[tuple[UUID, UUID]]) -> list[OtherSide | None]:
    """Return the same of captures and reversing entries."""
    return await _sides(tx, _MOVED_SIDES, wallets_and_entries)


async def _sides(tx: TenantTx, sql: str, wallets_and_entries: Sequence[tuple[UUID, UUID]]) -> list[OtherSide | None]:
    sides: list[OtherSide | None] = [None] * len(wallets_and_entries)
    rows = await tx.fetch(
        sql,
        [wallet_id for wallet_id, _ in wallets_and_entries],
        [entry_id for _, entry_id in wallets_and_entries],
    )
    for other_id, iban, merchant_name, merchant_category_code, places in rows:
        side = OtherSide(other_id, iban, merchant_name, merchant_category_code)
        for place in places:
            sides[place - 1] = side
    return sides


async def list_wallets(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None = None,
    party_id: UUID | None = None,
    status: str | None = None,
    alias: list[tuple[str, str]] | None = None,
    chosen: Collection[UUID] | None = None,
) -> list[WalletRow]:
    """Return wallets, newest first.

    ``alias`` lists the schemes and normal forms of which one must be the wallet's, ``chosen`` the wallets beside which
    there are no others.
    """
    where = Filter()
    where.add("w.party_id = $", party_id)
    where.add_word("w.status", status)
    where.add("w.id < $", before)
    where.add("w.id = ANY($::uuid[])", None if chosen is None else list(chosen))
    if alias is not None:
        where.add(
            "w.id IN (SELECT a.wallet_id FROM unnest($::text[], $::text[]) AS n (scheme, normal_value) "
            "JOIN wallet_aliases AS a ON a.scheme = n.scheme AND a.normal_value = n.normal_value)",
            [scheme for scheme, _ in alias],
            [normal_value for _, normal_value in alias],
        )
    rows = await tx.fetch(
        f"SELECT {WALLET_COLUMNS} FROM wallets AS w WHERE {where} ORDER BY w.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )
    return [to_wallet(row) for row in rows]


# An id's last characters are five bits each, and its text in the database has four to a digit.
_SOUGHT: Final = """(
    strpos(lower(w.label), lower($)) > 0
    OR ('x' || right(w.id::text, 8))::bit(32)::bigint & 1073741823 = $::bigint
    OR EXISTS (
        SELECT FROM wallet_aliases AS a WHERE a.wallet_id = w.id
            AND a.scheme IN ('iban', 'sort_code_account_number') AND strpos(a.normal_value, $::text) > 0)
)"""


async def search_wallets(  # noqa: PLR0917 - a page of a search
    tx: TenantTx,
    party_id: UUID,
    statuses: Sequence[str],
    sought: Sought | None,
    before: UUID | None,
    but: Sequence[UUID],
    limit: int,
) -> list[WalletRow]:
    """Return a party's wallets that are meant by what somebody has typed, or all, newest first."""
    where = Filter()
    where.add("w.party_id = $", party_id)
    where.add("w.status = ANY($::text[])", list(statuses))
    where.add("w.id < $", before)
    where.add("w.id <> ALL($::uuid[])", list(but) or None)
    if sought is not None:
        where.add(_SOUGHT, sought.text, sought.ending, sought.number)
    rows = await tx.fetch(
        f"SELECT {WALLET_COLUMNS} FROM wallets AS w WHERE {where} ORDER BY w.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )
    return [to_wallet(row) for row in rows]


async def find_alias(tx: TenantTx, alias_id: UUID) -> AliasRow | None:
    """Return an alias, or None."""
    row = await tx.fetchrow(f"SELECT {ALIAS_COLUMNS} FROM wallet_aliases AS a WHERE a.id = $1", alias_id)  # noqa: S608
    return None if row is None else to_alias(row)


async def find_known_as(tx: TenantTx, keys: Sequence[AliasKey]) -> dict[AliasKey, UUID]:
    """Return which of these names some wallet has, each with the wallet."""
    rows = await tx.fetch(
        """
        SELECT a.scheme, a.normal_value, a.wallet_id FROM unnest($1::text[], $2::text[]) AS n (scheme, normal_value)
        JOIN wallet_aliases AS a ON a.scheme = n.scheme AND a.normal_value = n.normal_value
        """,
        [key.scheme.value for key in keys],
        [key.normal_value for key in keys],
    )
    return {AliasKey(AliasScheme(scheme), normal_value): wallet_id for scheme, normal_value, wallet_id in rows}


async def list_british_ibans(tx: TenantTx, number: str) -> list[str]:
    """Return the British IBANs of wallets that end in a sort code and account number."""
    row = await tx.fetchrow(BRITISH_IBANS, [number])
    return [] if row is None else row["ibans"]


async def find_alias_owners(tx: TenantTx, keys: Sequence[AliasKey]) -> dict[AliasKey, UUID]:
    """Return which of these names some wallet has, each with the party that owns the wallet."""
    rows = await tx.fetch(
        """
        SELECT a.scheme, a.normal_value, w.party_id FROM unnest($1::text[], $2::text[]) AS n (scheme, normal_value)
        JOIN wallet_aliases AS a ON a.scheme = n.scheme AND a.normal_value = n.normal_value
        JOIN wallets AS w ON w.id = a.wallet_id
        """,
        [key.scheme.value for key in keys],
        [key.normal_value for key in keys],
    )
    return {AliasKey(AliasScheme(row["scheme"]), row["normal_value"]): row["party_id"] for row in rows}


async def find_ordered_owners(tx: TenantTx, named: Sequence[tuple[str, UUID]]) -> dict[tuple[str, UUID], UUID]:
    """Return which of these withdrawals and top-ups there are, each with the party that owns the wallet."""
    if not named:
        return {}
    rows = await tx.fetch(
        "SELECT t.kind, t.id, w.party_id FROM unnest($1::text[], $2::uuid[]) AS n (kind, id) "
        "JOIN transfers AS t ON t.id = n.id AND t.kind = n.kind "
        "JOIN wallets AS w ON w.id = coalesce(t.from_wallet_id, t.to_wallet_id)",
        [kind for kind, _ in named],
        [key for _, key in named],
    )
    return {(row["kind"], row["id"]): row["party_id"] for row in rows}


async def list_aliases(tx: TenantTx, wallet_id: UUID, *, limit: int, before: UUID | None = None) -> list[AliasRow]:
    """Return a wallet's aliases, newest first."""
    where = Filter()
    where.add("a.wallet_id = $", wallet_id)
    where.add("a.id < $", before)
    rows = await tx.fetch(
        f"SELECT {ALIAS_COLUMNS} FROM wallet_aliases AS a WHERE {where} ORDER BY a.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )
    return [to_alias(row) for row in rows]


_WITH_REVERSED: Final = (
    f"SELECT {TRANSFER_COLUMNS}, coalesce(r.reversed_minor, 0) AS reversed_minor "  # noqa: S608
    "FROM transfers AS t LEFT JOIN reversals AS r ON r.journal_entry_id = t.id"
)


_SIDES: Final = ("from_wallet_id", "to_wallet_id")


async def find_transfer(tx: TenantTx, kind: str, transfer_id: UUID) -> TransferRow | None:
    """Return a transfer, top-up or withdrawal with what has been undone of it, or None."""
    row = await tx.fetchrow(f"{_WITH_REVERSED} WHERE t.id = $1 AND t.kind = $2", transfer_id, kind)
    return None if row is None else to_transfer(row)


async def find_moved(tx: TenantTx, transfer_ids: Sequence[UUID]) -> list[TransferRow]:
    """Return which of these ids are transfers, top-ups or withdrawals, as they were when they were made."""
    # The key begins with the kind.
    rows = await tx.fetch(
        f"SELECT {TRANSFER_COLUMNS} FROM transfers AS t WHERE t.kind = ANY($1::text[]) AND t.id = ANY($2::uuid[])",  # noqa: S608
        ["transfer", "top_up", "withdrawal"],
        list(transfer_ids),
    )
    return [to_transfer(row) for row in rows]


async def list_transfers(
    tx: TenantTx, kind: str, *, limit: int, before: UUID | None = None, wallet_id: UUID | None = None
) -> list[TransferRow]:
    """Return transfers, top-ups or withdrawals, newest first."""
    shown = Filter()
    shown.add("t.kind = $", kind)
    shown.add("t.id < $", before)
    newest = f"ORDER BY id DESC LIMIT {limit:d}"
    select = f"{_WITH_REVERSED} WHERE {shown}"
    if wallet_id is not None:
        # Either side has an index of its own, whose end is the newest; one query over both would read all of them.
        place = len(shown.values) + 1
        select = " UNION ALL ".join(f"({select} AND t.{side} = ${place} {newest})" for side in _SIDES)
        shown.values.append(wallet_id)
    rows = await tx.fetch(f"{select} {newest}", *shown.values)
    return [to_transfer(row) for row in rows]


# What is a person's, by their wallets.

_BEHIND: Final = "($2::uuid IS NULL OR {alias}.id > $2) ORDER BY {alias}.id LIMIT $3"
WALLETS_OF: Final = (
    f"SELECT {WALLET_COLUMNS} FROM wallets AS w WHERE w.id = ANY($1::uuid[]) AND {_BEHIND.format(alias='w')}"  # noqa: S608
)
ALIASES_OF: Final = (
    f"SELECT {ALIAS_COLUMNS} FROM wallet_aliases AS a "  # noqa: S608
    f"WHERE a.wallet_id = ANY($1::uuid[]) AND {_BEHIND.format(alias='a')}"
)
# Each side has an index of its own for each kind, along which a page is read; between two of one's own it is in both.
_NEXT_OF_SIDE: Final = """
    SELECT t.kind, t.id FROM transfers AS t
    WHERE t.{side} = w.id AND t.kind = k.kind AND t.id > coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
    ORDER BY t.id LIMIT $3
"""
TRANSFERS_OF: Final = f"""
    SELECT {TRANSFER_COLUMNS}
    FROM (
        SELECT DISTINCT n.id, n.kind FROM unnest($1::uuid[]) AS w (id)
        CROSS JOIN unnest('{{transfer,top_up,withdrawal}}'::text[]) AS k (kind)
        CROSS JOIN LATERAL ({" UNION ALL ".join(f"({_NEXT_OF_SIDE.format(side=each)})" for each in _SIDES)}) AS n
        ORDER BY n.id LIMIT $3) AS own
    JOIN transfers AS t ON t.kind = own.kind AND t.id = own.id ORDER BY t.id
"""  # noqa: S608

BLANK_WALLETS: Final = """
UPDATE wallets SET label = NULL, status_reason = NULL, metadata = '{}'
WHERE id = ANY($1::uuid[]) AND (label IS NOT NULL OR status_reason IS NOT NULL OR metadata <> '{}')
"""
DELETE_ALIASES: Final = "DELETE FROM wallet_aliases WHERE wallet_id = ANY($1::uuid[])"
BLANK_TRANSFERS: Final = """
UPDATE transfers SET description = NULL, metadata = '{}'
WHERE (from_wallet_id = ANY($1::uuid[]) OR to_wallet_id = ANY($1::uuid[]))
    AND (description IS NOT NULL OR metadata <> '{}')
"""


async def list_wallets_of(tx: TenantTx, party_id: UUID) -> list[UUID]:
    """Return the ids of a party's wallets."""
    return [row["id"] for row in await tx.fetch("SELECT id FROM wallets WHERE party_id = $1 ORDER BY id", party_id)]


async def standing_of(tx: TenantTx, party_id: UUID) -> tuple[int, datetime | None]:
    """Return how many wallets of a party aren't closed, and when the last one was closed."""
    row = await tx.fetchrow(
        "SELECT count(*) FILTER (WHERE status <> 'closed') AS unclosed, max(updated_at) AS closed_at "
        "FROM wallets WHERE party_id = $1",
        party_id,
    )
    assert row is not None
    return row["unclosed"], row["closed_at"]
