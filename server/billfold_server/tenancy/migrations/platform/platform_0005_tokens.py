"""What operators' tokens leave behind, in the tables that each tenant has as well."""

from billfold_server.tenancy.migrations import SqlMigration
from billfold_server.tenancy.migrations.tenant.tenant_0008_tokens import GRANTS, STATEMENTS

ID = "platform_0005_tokens"
VERSION = "1.38.0"
DESCRIPTION = "Single-use tokens, grants, refresh tokens and revocations"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=STATEMENTS, grants=GRANTS
    )
