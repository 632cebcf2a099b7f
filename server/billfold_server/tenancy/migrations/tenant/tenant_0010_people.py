"""People: users, their factors and sessions."""

from billfold_server.tenancy.migrations import SqlMigration
from billfold_server.tenancy.migrations.people import grants, statements

ID = "tenant_0010_people"
VERSION = "1.38.0"
DESCRIPTION = "People, their factors and sessions"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID,
        app_name="tenant",
        description=DESCRIPTION,
        statements=statements(tenant=True),
        grants=grants(tenant=True),
    )
