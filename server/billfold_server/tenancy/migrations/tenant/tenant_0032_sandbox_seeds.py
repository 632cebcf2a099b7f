"""From what a sandbox's customers follow, and whether they have everything."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0032_sandbox_seeds"
VERSION = "1.38.0"
DESCRIPTION = "Seeds of sandboxes"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    """
    CREATE TABLE sandbox_seeds (
        id smallint PRIMARY KEY CHECK (id = 1),
        seed integer NOT NULL CHECK (seed >= 0),
        begun_at timestamptz NOT NULL,
        done_at timestamptz
    )
    """,
)

_GRANTS = {"sandbox_seeds": "SELECT, INSERT, UPDATE (done_at)"}
