"""Rows that tell of several objects are found by each of these: a step of its own, built beside whoever writes."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0063_events_of_several_found"
VERSION = "1.38.0"
DESCRIPTION = "Events of one of several objects"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


_INDEXES = {"outbox_events_several": "outbox_events (id) WHERE objects IS NOT NULL"}
