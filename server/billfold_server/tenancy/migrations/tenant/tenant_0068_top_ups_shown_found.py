"""Entries are found by the top-up that they show: a step of its own, built beside whoever writes."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0068_top_ups_shown_found"
VERSION = "1.38.0"
DESCRIPTION = "Statement entries by their top-ups"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


_INDEXES = {"statement_entries_top_ups": "statement_entries (top_up_id) WHERE top_up_id IS NOT NULL"}
