"""Partner organisations can be removed; their rows stay, because what history names refers to them."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0045_removed_partners"
VERSION = "1.38.0"
DESCRIPTION = "Removed partner organisations"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    "ALTER TABLE partners ADD COLUMN removed_at timestamptz",
    # Whoever is removed is let in never again: neither by a mistake nor by a server that doesn't know the column yet.
    """
    ALTER TABLE partners ADD CONSTRAINT partners_removed_check CHECK (
        removed_at IS NULL OR (state = 'suspended' AND external_id IS NULL)
    )
    """,
)

_GRANTS = {"partners": "UPDATE (removed_at)"}
