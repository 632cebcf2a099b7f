"""The accounts of British IBANs are found by their sort codes and account numbers."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0037_british_accounts"
VERSION = "1.38.0"
DESCRIPTION = "Sort codes and account numbers in British IBANs"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


# As ``wallets.stores.BRITISH_IBANS`` asks.
_INDEXES = {
    "wallet_aliases_british": """
    wallet_aliases (right(normal_value, 14)) WHERE scheme = 'iban' AND normal_value LIKE 'GB%'
    """
}
