"""Rows of the outbox that tell of several objects (ADR 69)."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0062_events_of_several"
VERSION = "1.38.0"
DESCRIPTION = "Events of transfers that follow one another in one row"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS)


# The objects of all events that a row tells of, in order. Where there are none it tells of one, as before.
_STATEMENTS = ("ALTER TABLE outbox_events ADD COLUMN objects uuid[]",)
