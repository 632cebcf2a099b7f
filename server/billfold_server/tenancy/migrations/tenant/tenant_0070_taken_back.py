"""Imports of statements that were taken back as a whole."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0070_taken_back"
VERSION = "1.38.0"
DESCRIPTION = "Statement imports that are taken back"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    "ALTER TABLE statement_imports ADD COLUMN reversed_at timestamptz",
    # Of statements from before nobody knows by which journal entries they moved their cash account besides entries.
    "ALTER TABLE statements ADD COLUMN opening_entry_id uuid",
    "ALTER TABLE statements ADD COLUMN break_entry_id uuid",
    "ALTER TABLE statement_entries ADD COLUMN taken_back boolean NOT NULL DEFAULT FALSE",
    """
    ALTER TABLE statement_entries ADD CONSTRAINT statement_entries_taken_back CHECK (
        NOT taken_back OR outcome <> 'assigned') NOT VALID
    """,
)

_GRANTS = {
    "statement_imports": "UPDATE (reversed_at)",
    "statement_entries": "UPDATE (taken_back)",
}
