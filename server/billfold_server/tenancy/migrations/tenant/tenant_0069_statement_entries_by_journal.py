"""Statement entries are found by what has brought them into suspense, or has assigned them, to undo that by hand.

There were few of them until entries were assigned to what was ordered here by themselves. A step of its own, built
beside whoever writes.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0069_statement_entries_by_journal"
VERSION = "1.38.0"
DESCRIPTION = "Statement entries by their journal entries"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


_INDEXES = {
    "statement_entries_journal": "statement_entries (journal_entry_id) WHERE outcome IN ('suspense', 'assigned')",
    "statement_entries_assigning": (
        "statement_entries (assigning_journal_entry_id) WHERE assigning_journal_entry_id IS NOT NULL"
    ),
}
