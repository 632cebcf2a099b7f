"""Encryption keys: to which cards are encrypted on their way to the vault."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0012_encryption_keys"
VERSION = "1.38.0"
DESCRIPTION = "Encryption keys"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # The times are those under the seal, which alone count; here they say whose private half may be deleted. A public
    # half isn't kept: whoever could write one could read what is encrypted to it.
    """
    CREATE TABLE encryption_keys (
        id uuid PRIMARY KEY,
        generation integer NOT NULL UNIQUE CHECK (generation >= 1),
        sealed_private bytea,
        created_at timestamptz NOT NULL,
        not_after timestamptz NOT NULL CHECK (not_after > created_at)
    )
    """,
)

_GRANTS = {"encryption_keys": "SELECT, INSERT, UPDATE (sealed_private)"}
