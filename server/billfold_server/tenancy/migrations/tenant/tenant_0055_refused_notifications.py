"""What third parties have refused is found without reading all that they were ever told."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0055_refused_notifications"
VERSION = "1.38.0"
DESCRIPTION = "Refused event notifications"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


# Of the other states there are many, which are met soon, or an index tells them already.
_INDEXES = {"event_notifications_refused": "event_notifications (id) WHERE state = 'refused'"}
