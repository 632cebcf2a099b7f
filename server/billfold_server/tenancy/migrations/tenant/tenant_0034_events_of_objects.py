"""The events of one object are found without reading the stream."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0034_events_of_objects"
VERSION = "1.38.0"
DESCRIPTION = "Events of one object"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


_INDEXES = {"outbox_events_object": "outbox_events (object_id, sequence)"}
