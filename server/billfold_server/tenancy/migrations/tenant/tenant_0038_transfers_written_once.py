"""What a transfer wrote for the second time (ADR 51).

An index of journal entries is made anew, which means reading that table once: some tenths of a second for a million
rows, in which nobody writes there. It takes the place of the one before only then, so nobody's reading waits for it.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0038_transfers_written_once"
VERSION = "1.38.0"
DESCRIPTION = "Events that are told from their objects' rows, and a narrower index of journal entries"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS)


_STATEMENTS = (
    # Without data an event is told from its object's own row.
    "ALTER TABLE outbox_events ALTER COLUMN data DROP NOT NULL",
    # As ``ledger.queries`` asks: what stands in transfers, too, is found there by its kind.
    """
    CREATE INDEX journal_entries_other_kinds ON journal_entries (kind, id DESC)
    WHERE kind <> ALL ('{transfer,top_up,withdrawal}'::text[])
    """,
    "DROP INDEX journal_entries_kind",
)
