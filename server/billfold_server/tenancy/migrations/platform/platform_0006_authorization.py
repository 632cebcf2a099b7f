"""Pushed authorization requests, interactions with browsers, and authorization codes."""

from billfold_server.tenancy.migrations import SqlMigration
from billfold_server.tenancy.migrations.authorization import GRANTS, STATEMENTS

ID = "platform_0006_authorization"
VERSION = "1.38.0"
DESCRIPTION = "Pushed authorization requests, interactions and authorization codes"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=STATEMENTS, grants=GRANTS
    )
