"""Grants that are bound to consents of open banking."""

from billfold_server.tenancy.migrations import SqlMigration
from billfold_server.tenancy.migrations.consent_grants import GRANTS, STATEMENTS

ID = "platform_0009_consent_grants"
VERSION = "1.38.0"
DESCRIPTION = "Grants that are bound to consents"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=STATEMENTS, grants=GRANTS
    )
