"""What deleting tenants leaves behind: whose sandbox one was, and many destructions of keys as one request."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "platform_0012_deletions"
VERSION = "1.38.0"
DESCRIPTION = "Deleted sandboxes, and destructions of many keys at once"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="platform", description=DESCRIPTION, statements=_STATEMENTS)


_STATEMENTS = (
    # Of which tenant's partner the deleted one was a sandbox. An older version says nothing of it.
    "ALTER TABLE deleted_tenants ADD COLUMN owner_id uuid",
    # Those that were asked for together are decided on together.
    "ALTER TABLE key_destructions ADD COLUMN batch_id uuid",
    "CREATE INDEX key_destructions_batch ON key_destructions (batch_id) WHERE batch_id IS NOT NULL",
)
