"""Entries that were taken back are imported again, and statements are found by their bank account.

A step of its own, whose indexes are built beside whoever writes. The index that goes knew of nothing that was taken
back.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0071_taken_back_found"
VERSION = "1.38.0"
DESCRIPTION = "Statement entries once each among those that stand"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, indexes=_INDEXES
    )


_STATEMENTS = ("DROP INDEX statement_entries_once",)

_INDEXES = {
    "statement_entries_standing": (
        "UNIQUE statement_entries (dedup_key) WHERE duplicate_of IS NULL AND NOT taken_back"
    ),
    "statement_entries_taken_back": "statement_entries (id DESC) WHERE taken_back",
    "statements_bank_account": "statements (bank_account, statement_import_id)",
}
