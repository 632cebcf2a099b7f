"""What one operator asks to destroy of a tenant's keys, and another must agree to."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "platform_0008_key_destructions"
VERSION = "1.38.0"
DESCRIPTION = "Destructions of tenants' keys, which take two operators"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # That nobody decides on what they have asked for is said here, too, where no command can forget it.
    """
    CREATE TABLE key_destructions (
        id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        slug text NOT NULL,
        reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
        asked_by uuid NOT NULL,
        asked_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'done')),
        decided_by uuid CHECK (decided_by <> asked_by),
        decided_at timestamptz,
        done_at timestamptz,
        CHECK ((state = 'pending') = (decided_by IS NULL)),
        CHECK ((state = 'done') = (done_at IS NOT NULL))
    )
    """,
    "CREATE UNIQUE INDEX key_destructions_pending ON key_destructions (tenant_id) WHERE state = 'pending'",
)

_GRANTS = {
    # What was asked for, by whom and why is settled when it is asked.
    "key_destructions": "SELECT, INSERT, UPDATE (state, decided_by, decided_at, done_at)",
}
