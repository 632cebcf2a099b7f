"""The queries on parties."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from piccolo.query import Select

from billfold.contract.parties import PartyKind, PartyRole
from billfold_server.db.filters import Filter
from billfold_server.parties.rows import PartyRow
from billfold_server.parties.tables import Parties
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "erase",
    "find",
    "find_existing",
    "find_many",
    "forget_words",
    "hold",
    "hold_many",
    "insert",
    "list_outdated",
    "list_page",
    "lock",
    "set_search",
    "update",
]

_SHOWN = (
    Parties.id,
    Parties.kind,
    Parties.sealed_profile,
    Parties.external_id,
    Parties.roles,
    Parties.forgotten_at,
    Parties.version,
    Parties.created_at,
    Parties.updated_at,
)


async def insert(values: Mapping[str, Any]) -> None:
    """Write a new party.

    Raises:
        asyncpg.UniqueViolationError: Another party has the external id.
    """
    await Parties.insert(Parties(_columns(values)))


async def update(party_id: UUID, values: Mapping[str, Any]) -> None:
    """Change columns of a party.

    Raises:
        asyncpg.UniqueViolationError: Another party has the external id.
    """
    await Parties.update(_columns(values)).where(Parties.id == party_id)


async def erase(tx: TenantTx, party_id: UUID, now: datetime) -> bool:
    """Leave of a party what the books need, and tell whether it wasn't forgotten before."""
    sql = """
        UPDATE parties SET sealed_profile = NULL, external_id = NULL, search_digests = '{}', forgotten_at = $2,
            version = version + 1, updated_at = greatest(updated_at, $2)
        WHERE id = $1 AND forgotten_at IS NULL
    """
    return await tx.execute(sql, party_id, now) == "UPDATE 1"


async def forget_words(tx: TenantTx, party_id: UUID) -> None:
    """Drop by what a party is found, as if no version of the key had made anything of it; ``reindex`` does the rest."""
    # Digests that were made before this, and are written after it, are of a former version of the party.
    sql = """
        UPDATE parties SET search_digests = '{}', search_version = 0, version = version + 1
        WHERE id = $1 AND forgotten_at IS NULL
    """
    await tx.execute(sql, party_id)


async def find(party_id: UUID) -> PartyRow | None:
    """Return a party, or None."""
    return _party(await _select().where(Parties.id == party_id).first())


async def find_many(party_ids: Sequence[UUID]) -> list[PartyRow]:
    """Return which of these ids are parties, with the parties."""
    rows = [_party(row) for row in await _select().where(Parties.id.is_in(list(party_ids)))]
    return [row for row in rows if row is not None]


async def find_existing(party_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these ids are parties that nobody has forgotten."""
    rows = await Parties.select(Parties.id).where(Parties.id.is_in(list(party_ids)), Parties.forgotten_at.is_null())
    return {row["id"] for row in rows}


async def hold(tx: TenantTx, party_id: UUID) -> bool:
    """Keep a party from being forgotten until the transaction ends, and tell whether it is there."""
    sql = "SELECT 1 FROM parties WHERE id = $1 AND forgotten_at IS NULL FOR SHARE"
    return await tx.fetchval(sql, party_id) is not None


async def hold_many(tx: TenantTx, party_ids: Sequence[UUID]) -> set[UUID]:
    """Do so with many, and return which of them are there."""
    # In one order everywhere, so that nobody waits for who waits for them.
    sql = "SELECT id FROM parties WHERE id = ANY($1::uuid[]) AND forgotten_at IS NULL ORDER BY id FOR SHARE"
    return {row["id"] for row in await tx.fetch(sql, list(party_ids))}


async def lock(party_id: UUID) -> PartyRow | None:
    """Return a party and keep others from changing it until the transaction ends, or None."""
    return _party(await _select().where(Parties.id == party_id).lock_rows("NO KEY UPDATE").first())


_COLUMNS: Final = ", ".join(PartyRow.__struct_fields__)
_HAS_ONE: Final = "search_digests && $::bigint[]"
_HAS_EACH: Final = " AND "


async def list_page(
    tx: TenantTx,
    *,
    external_id: str | None,
    kind: PartyKind | None,
    search: Sequence[Sequence[Sequence[int]]] | None,
    before: UUID | None,
    limit: int,
) -> list[PartyRow]:
    """Return parties that meet all conditions given, the newest first.

    Args:
        tx: The tenant's transaction.
        external_id: The caller's own id.
        kind: Person or company.
        search: Lists of terms, each as the digests that it may have; a party has each term of one of the lists.
        before: The party after which to go on.
        limit: How many at most.
    """
    where = Filter()
    source = "parties"
    if search is not None:
        terms = [term for terms in search for term in terms]
        either = " OR ".join(_HAS_EACH.join(_HAS_ONE for _ in terms) for terms in search)
        where.add(f"({either})", *(list(term) for term in terms))
        # How many have a word the planner can only guess. Without OFFSET it looks for them along all parties.
        source = f"(SELECT {_COLUMNS} FROM parties WHERE {where} OFFSET 0) AS found"  # noqa: S608 - constants
        where.conditions.clear()
    where.add("external_id = $", external_id)
    where.add_word("kind", kind)
    where.add("id < $", before)
    sql = f"SELECT {_COLUMNS} FROM {source} WHERE {where} ORDER BY id DESC LIMIT {limit:d}"  # noqa: S608 - constants
    return [party for row in await tx.fetch(sql, *where.values) if (party := _party(dict(row))) is not None]


async def list_outdated(tx: TenantTx, version: int, limit: int) -> list[PartyRow]:
    """Return parties whose digests were made by an older version of the key."""
    query = _select().where(Parties.search_version < version, Parties.sealed_profile.is_not_null()).limit(limit)
    assert tx.open
    return [party for row in await query if (party := _party(row)) is not None]


async def set_search(tx: TenantTx, party_id: UUID, version: int, digests: Sequence[int], search_version: int) -> None:
    """Give a party new digests, unless it has changed since its ``version``, of which they were made."""
    sql = "UPDATE parties SET search_digests = $3, search_version = $4 WHERE id = $1 AND version = $2"
    await tx.execute(sql, party_id, version, list(digests), search_version)


def _select() -> Select[Any]:
    return Parties.select(*_SHOWN)


def _columns(values: Mapping[str, Any]) -> dict[Any, Any]:
    """Return a party's values by column, as Piccolo takes them."""
    return {Parties._meta.get_column_by_name(name): value for name, value in values.items()}  # noqa: SLF001


def _party(row: Mapping[str, Any] | None) -> PartyRow | None:
    if row is None:
        return None
    return PartyRow(
        **{
            **row,
            "kind": PartyKind(row["kind"]),
            "sealed_profile": None if row["sealed_profile"] is None else bytes(row["sealed_profile"]),
            "roles": [PartyRole(role) for role in row["roles"]],
        }
    )
