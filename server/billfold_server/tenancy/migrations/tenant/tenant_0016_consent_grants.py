"""Grants that are bound to consents of open banking."""

from billfold_server.tenancy.migrations import SqlMigration
from billfold_server.tenancy.migrations.consent_grants import GRANTS, STATEMENTS

ID = "tenant_0016_consent_grants"
VERSION = "1.38.0"
DESCRIPTION = "Grants that are bound to consents"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=[*STATEMENTS, _TERMS], grants=GRANTS
    )


# What a payer agrees to beside amount and payee, as it was shown.
_TERMS = "ALTER TABLE sca_challenges ADD COLUMN terms json"
