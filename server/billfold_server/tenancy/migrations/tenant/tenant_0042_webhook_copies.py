"""A delivery says how often it is to arrive, which is more than once only where that is simulated."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0042_webhook_copies"
VERSION = "1.38.0"
DESCRIPTION = "Simulated duplicates of deliveries"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    "ALTER TABLE webhook_deliveries ADD COLUMN copies smallint NOT NULL DEFAULT 1 CHECK (copies BETWEEN 1 AND 10)",
)

_GRANTS = {"webhook_deliveries": "UPDATE (copies)"}
