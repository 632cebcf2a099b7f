"""Tenants where nothing was written, told by PostgreSQL's own counters, which one query reads of all of them.

What looks after every tenant now and then would cost most where there is least to do: a transaction in a schema that a
session hasn't seen for a while begins with reading that schema, some milliseconds for each of a thousand tenants. The
counters are behind by up to ten seconds, and begin anew after a crash of PostgreSQL. So they only say who may be passed
over for a while, and now and then nobody is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import PlatformTx

__all__ = ["Stillness"]

_ALL_EVERY: Final = 20
# A table is found by its name through an index, so this reads no more of the catalogue than it returns.
_WRITTEN: Final = """
SELECT c.relnamespace::regnamespace::text AS schema, sum(
    pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid)
)::bigint AS written
FROM pg_catalog.pg_class AS c
WHERE c.relname = ANY($1::text[]::name[]) AND c.relkind = 'r' AND current_setting('track_counts')::boolean
GROUP BY c.relnamespace
"""


class Stillness:
    """Which tenants had nothing left to do when they were looked at, and had nothing written since.

    Args:
        tables: The tables that can have something to do, by their names.
        all_every: In each so many rounds everybody is looked at, whatever is known.
    """

    def __init__(self, tables: Iterable[str], *, all_every: int = _ALL_EVERY) -> None:
        self._tables = list(tables)
        self._all_every = all_every
        self._rounds = 0
        self._still: dict[UUID, int] = {}

    async def begin(self, tx: PlatformTx, tenants: Sequence[TenantRef]) -> Mapping[UUID, int]:
        """Begin a round: return how much was written in each tenant's tables, as far as PostgreSQL counts that.

        Tenants that aren't in the round, such as suspended ones, are looked at when they come back.
        """
        if self._rounds % self._all_every == 0:
            self._still.clear()
        self._rounds += 1
        rows = await tx.fetch(_WRITTEN, self._tables)
        written = {row["schema"]: row["written"] for row in rows}
        counts = {each.id: written[each.schema] for each in tenants if each.schema in written}
        self._still = {key: count for key, count in self._still.items() if key in counts}
        return counts

    def is_still(self, tenant_id: UUID, count: int | None) -> bool:
        """Tell whether a tenant may be passed over, given what a round has counted."""
        return count is not None and self._still.get(tenant_id) == count

    def note(self, tenant_id: UUID, count: int | None) -> None:
        """Note that nothing is left to do of all that had been counted, or may have been, when it was looked at.

        Args:
            tenant_id: Whose.
            count: What a round had counted before.
        """
        if count is not None:
            self._still[tenant_id] = count
