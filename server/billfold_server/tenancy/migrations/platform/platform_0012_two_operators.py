"""What two operators do together: destroy the keys of many removed sandboxes, and give a code in halves."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "platform_0012_two_operators"
VERSION = "1.38.0"
DESCRIPTION = "Destructions of many keys at once, and codes in halves"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # Of which tenant's partner the deleted one was a sandbox. An older version says nothing of it.
    "ALTER TABLE deleted_tenants ADD COLUMN owner_id uuid",
    # Those that were asked for together are decided on together.
    "ALTER TABLE key_destructions ADD COLUMN batch_id uuid",
    "CREATE INDEX key_destructions_batch ON key_destructions (batch_id) WHERE batch_id IS NOT NULL",
    # Digest of the half of the enrolment code that whoever asked first was given.
    "ALTER TABLE operator_requests ADD COLUMN half bytea",
)

_GRANTS = {"operator_requests": "UPDATE (half)"}
