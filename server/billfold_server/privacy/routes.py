"""Privacy over HTTP."""

from billfold.contract.privacy import DataInventory
from billfold_server.http.routing import Call, Routes
from billfold_server.privacy import service

__all__ = ["routes"]

routes = Routes(
    tag="Privacy", description="What is kept of people and where, what is known of one of them, and forgetting them."
)


@routes.get("/v1/data-inventory", scope="privacy:read")
async def get_data_inventory(call: Call) -> DataInventory:
    """Show where personal data lies.

    Every column that holds personal or card data, under which keys it is sealed or why it isn't, for how long it is
    kept, and how many rows there are. Who has read what and why stands in the audit records.
    """
    privacy: service.Privacy = call.services.rooms["privacy"]
    async with call.tx() as tx:
        return await service.data_inventory(tx, privacy.inventories)
