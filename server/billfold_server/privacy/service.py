"""What all rooms together keep of people: where each kind of data lies, under which key, and for how long."""

from collections import defaultdict
from collections.abc import Sequence

from billfold.clock import SystemClock
from billfold.contract.privacy import DataColumn, DataInventory
from billfold_server.db.personal import Inventory
from billfold_server.privacy import queries
from billfold_server.tenancy.manifest import Retention
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["Privacy", "data_inventory"]


class Privacy:
    """What the room keeps for the life of the process, in ``Services.rooms["privacy"]``.

    Args:
        inventories: What every room keeps.
    """

    def __init__(self, inventories: Sequence[Inventory]) -> None:
        self.inventories = tuple(inventories)


async def data_inventory(tx: TenantTx, inventories: Sequence[Inventory]) -> DataInventory:
    """Return where personal and card data lies in a tenant, with how much of it there is.

    Args:
        tx: The tenant's transaction.
        inventories: What every room keeps, as ``Privacy`` has it.
    """
    tables: dict[str, list[str]] = defaultdict(list)
    for inventory in inventories:
        for each in inventory.personal:
            tables[each.table].append(each.column)
    counts = await queries.count_columns(tx, tables)
    retention = tx.tenant.manifest.retention
    return DataInventory(
        columns=[
            DataColumn(
                room=inventory.room,
                table=each.table,
                column=each.column,
                category=each.category,
                owner=each.owner,
                key_domain=each.domain,
                blind_index=each.index,
                plain_because=each.plain_because,
                kept=each.kept,
                kept_days=_days(retention, each.kept),
                records=counts[each.table, each.column][0],
                estimated=counts[each.table, each.column][1],
            )
            for inventory in inventories
            for each in inventory.personal
        ],
        plain_columns=sum(len(inventory.classified()) - len(inventory.personal) for inventory in inventories),
        counted_at=SystemClock().now(),
    )


def _days(retention: Retention, kept: str) -> int | None:
    days: int | None = getattr(retention, kept, None)
    return days
