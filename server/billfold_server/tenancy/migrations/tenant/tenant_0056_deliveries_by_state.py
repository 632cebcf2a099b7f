"""What endpoints didn't take is found without reading all that they were ever told."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0056_deliveries_by_state"
VERSION = "1.38.0"
DESCRIPTION = "Deliveries by state"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


# Most are delivered, and such are met soon.
_INDEXES = {"webhook_deliveries_of_state": "webhook_deliveries (state, id) WHERE state <> 'delivered'"}
