"""When each tenant wants to be visited by the background next."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "platform_0003_wakeups"
VERSION = "1.38.0"
DESCRIPTION = "Wake-ups of tenants: an instant each, no payload"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # No foreign key: a wake-up is a hint, and one for a tenant that is gone is simply never used.
    """
    CREATE TABLE tenant_wakeups (
        tenant_id uuid PRIMARY KEY,
        wake_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX tenant_wakeups_wake_at ON tenant_wakeups (wake_at)",
)

_GRANTS = {"tenant_wakeups": "SELECT, INSERT, UPDATE, DELETE"}
