"""What isn't sealed yet is found without reading the rest of the audit trail (ADR 67)."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0059_unsealed_records"
VERSION = "1.38.0"
DESCRIPTION = "Audit records that aren't sealed yet"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


_INDEXES = {"audit_records_unsealed": "audit_records (id) WHERE link IS NULL"}
