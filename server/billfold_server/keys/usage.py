"""Which keys a tenant has, and where each is used: for evidence that every kind of data lies under keys of its own."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.keys import upkeep_queries
from billfold_server.keys.rules import TENANT_SUBJECT
from billfold_server.keys.store import KeyStore
from billfold_server.keys.verifying import sealed_columns
from billfold_server.tenancy.context import TenantRef

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["KeyInventory", "KeyUse", "UsedColumn", "key_inventory"]


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """A key, and where it is used.

    Attributes:
        key_id: Its id, which each value names that it has sealed.
        party_id: Whose it is; None is the tenant's own.
        epoch: The number of the epoch under which it lies; None where it was destroyed.
        backend: What keeps the tenant key that wraps that epoch.
        tenant_key_version: That key's version.
        seals_reserved: For how many values it has been drawn on.
        values: How many values it has sealed that are there, by table and column.
    """

    key_id: UUID
    domain: str
    party_id: str | None
    generation: int
    epoch: int | None
    backend: str | None
    tenant_key_version: int | None
    seals_reserved: int
    created_at: datetime
    forgotten_at: datetime | None
    values: Mapping[str, int]


class UsedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column with sealed values.

    Attributes:
        category: What kind of data it is, as its room says.
        domain: Under which keys its room says that it is sealed.
        keys: How many keys its values lie under.
        epochs: The numbers of the epochs behind them.
        unknown: How many values lie under keys that the key store doesn't know.
    """

    table: str
    column: str
    room: str | None
    category: str | None
    domain: str | None
    values: int
    keys: int
    epochs: Sequence[int]
    unknown: int


class KeyInventory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a tenant's keys that isn't secret."""

    tenant: str
    made_at: datetime
    columns: Sequence[UsedColumn]
    keys: Sequence[KeyUse]


class _Column(Protocol):
    """What a room says of a column, as ``db.personal`` has it."""

    table: str
    column: str
    category: str
    domain: str | None


_COUNT = """
SELECT substring({column} FROM 2 FOR 16) AS key, count(*) AS number FROM {table}
WHERE length({column}) >= 45 AND substring({column} FROM 1 FOR 1) = '\\x01' GROUP BY 1
"""


async def key_inventory(services: "Services", store: KeyStore, tenant: TenantRef) -> KeyInventory:
    """Return which keys a tenant has, and where each is used.

    Columns are found by what lies in them: those of bytes that begin as sealed values do, and name a key of the tenant,
    or that a room says to be sealed.
    """
    told = _told(services)
    used: dict[str, Counter[UUID]] = {}
    async with services.database.tx(tenant, statement_timeout_ms=600_000, snapshot=True) as tx:
        for each in await sealed_columns(tx, tenant.schema):
            sql = _COUNT.format(column=_quoted(each.column), table=_quoted(each.table))
            rows = await tx.fetch(sql)
            used[f"{each.table}.{each.column}"] = Counter({UUID(bytes=row["key"]): row["number"] for row in rows})
    keys = await _keys(store, tenant.id)
    by_id = {row["id"]: row for row in keys}
    columns = [
        _column(place, counts, by_id, told.get(place))
        for place, counts in used.items()
        if place in told or counts.keys() & by_id.keys()
    ]
    return KeyInventory(tenant=tenant.slug, made_at=datetime.now(UTC), columns=columns, keys=_uses(keys, used))


def _told(services: "Services") -> dict[str, tuple[str, _Column]]:
    """Return what rooms say of columns that they seal."""
    privacy = services.rooms.get("privacy")
    inventories = () if privacy is None else privacy.inventories
    return {
        f"{column.table}.{column.column}": (inventory.room, column)
        for inventory in inventories
        for column in inventory.personal
        if column.domain is not None and not column.index
    }


async def _keys(store: KeyStore, tenant_id: UUID) -> list[Any]:
    async with store.long() as connection:
        return list(await connection.fetch(upkeep_queries.EVERY_KEY, tenant_id))


def _column(
    place: str, counts: Counter[UUID], keys: Mapping[UUID, Any], told: tuple[str, _Column] | None
) -> UsedColumn:
    table, _, column = place.partition(".")
    known = [keys[key_id] for key_id in counts if key_id in keys]
    domains = {row["domain"] for row in known}
    return UsedColumn(
        table=table,
        column=column,
        room=None if told is None else told[0],
        category=None if told is None else told[1].category,
        domain=told[1].domain if told is not None else next(iter(domains), None),
        values=counts.total(),
        keys=len(known),
        epochs=sorted({row["number"] for row in known if row["number"] is not None}),
        unknown=sum(number for key_id, number in counts.items() if key_id not in keys),
    )


def _uses(keys: Sequence[Any], used: Mapping[str, Counter[UUID]]) -> list[KeyUse]:
    values: dict[UUID, dict[str, int]] = defaultdict(dict)
    for place, counts in used.items():
        for key_id, number in counts.items():
            values[key_id][place] = number
    return [
        KeyUse(
            key_id=row["id"],
            domain=row["domain"],
            party_id=None if row["subject_id"] == TENANT_SUBJECT else ids.encode(Prefix.PARTY, row["subject_id"]),
            generation=row["generation"],
            epoch=row["number"],
            backend=row["backend"],
            tenant_key_version=row["key_version"],
            seals_reserved=row["seals_reserved"],
            created_at=row["created_at"],
            forgotten_at=row["forgotten_at"],
            values=values.get(row["id"], {}),
        )
        for row in keys
    ]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
