"""The platform's own audit trail: what operators do with tenants and clients."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "platform_0004_audit"
VERSION = "1.38.0"
DESCRIPTION = "Audit records of what operators do"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    """
    CREATE TABLE audit_records (
        id uuid PRIMARY KEY,
        actor text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
        action text NOT NULL CHECK (length(action) BETWEEN 1 AND 100),
        object_id text NOT NULL CHECK (length(object_id) BETWEEN 1 AND 100),
        reason text CHECK (length(reason) BETWEEN 1 AND 2000),
        request_id text CHECK (length(request_id) BETWEEN 1 AND 200),
        facts jsonb NOT NULL CHECK (jsonb_typeof(facts) = 'object'),
        recorded_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX audit_records_object_id ON audit_records (object_id, id)",
    "CREATE INDEX audit_records_action ON audit_records (action, id)",
)

_GRANTS = {"audit_records": "SELECT, INSERT"}
