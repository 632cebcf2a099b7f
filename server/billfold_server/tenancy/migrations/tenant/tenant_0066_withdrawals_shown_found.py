"""Entries are found by the withdrawal that they show: a step of its own, built beside whoever writes."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0066_withdrawals_shown_found"
VERSION = "1.38.0"
DESCRIPTION = "Statement entries by their withdrawals"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


_INDEXES = {"statement_entries_withdrawals": "statement_entries (withdrawal_id) WHERE withdrawal_id IS NOT NULL"}
