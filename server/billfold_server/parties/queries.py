"""The queries on parties."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from piccolo.columns.combination import WhereRaw
from piccolo.query import Select

from billfold import ids
from billfold.contract.parties import Party, PartyKind, PartyRole
from billfold.ids import Prefix
from billfold_server.parties.tables import Parties

__all__ = ["find", "find_existing", "insert", "list_page", "lock", "update"]

_SHOWN = (
    Parties.id,
    Parties.kind,
    Parties.name,
    Parties.external_id,
    Parties.email,
    Parties.roles,
    Parties.metadata,
    Parties.version,
    Parties.created_at,
    Parties.updated_at,
)


async def insert(party: Party, party_id: UUID, search_terms: list[str]) -> None:
    """Write a new party.

    Raises:
        asyncpg.UniqueViolationError: Another party has the external id.
    """
    values = {**msgspec.structs.asdict(party), "id": party_id, "search_terms": search_terms}
    await Parties.insert(Parties(_columns(values)))


async def update(party_id: UUID, values: Mapping[str, Any]) -> None:
    """Change columns of a party.

    Raises:
        asyncpg.UniqueViolationError: Another party has the external id.
    """
    await Parties.update(_columns(values)).where(Parties.id == party_id)


async def find(party_id: UUID) -> Party | None:
    """Return a party, or None."""
    return _party(await _select().where(Parties.id == party_id).first())


async def find_existing(party_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these ids are parties."""
    rows = await Parties.select(Parties.id).where(Parties.id.is_in(list(party_ids)))
    return {row["id"] for row in rows}


async def lock(party_id: UUID) -> Party | None:
    """Return a party and keep others from changing it until the transaction ends, or None."""
    return _party(await _select().where(Parties.id == party_id).lock_rows("NO KEY UPDATE").first())


async def list_page(
    *, external_id: str | None, kind: PartyKind | None, search: str | None, before: UUID | None, limit: int
) -> list[Party]:
    """Return parties that meet all conditions given, the newest first."""
    query = _select().order_by(Parties.id, ascending=False).limit(limit)
    if external_id is not None:
        query = query.where(Parties.external_id == external_id)
    if kind is not None:
        query = query.where(Parties.kind == kind.value)
    if search is not None:
        query = query.where(WhereRaw("array_to_tsvector(search_terms) @@ {}::text::tsquery", search))
    if before is not None:
        query = query.where(Parties.id < before)
    return [party for row in await query if (party := _party(row)) is not None]


def _select() -> Select[Any]:
    return Parties.select(*_SHOWN)


def _columns(values: Mapping[str, Any]) -> dict[Any, Any]:
    """Return a party's values by column, as Piccolo takes them."""
    return {Parties._meta.get_column_by_name(name): _stored(value) for name, value in values.items()}  # noqa: SLF001


def _stored(value: Any) -> Any:
    """Return a value as its column takes it: metadata as JSON; enums are their texts already."""
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else value


def _party(row: Mapping[str, Any] | None) -> Party | None:
    if row is None:
        return None
    return Party(
        id=ids.encode(Prefix.PARTY, row["id"]),
        kind=PartyKind(row["kind"]),
        name=row["name"],
        external_id=row["external_id"],
        email=row["email"],
        roles=[PartyRole(role) for role in row["roles"]],
        metadata=msgspec.json.decode(row["metadata"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
