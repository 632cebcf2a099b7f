"""Statement entries that belong to no wallet are assigned to an account of the general ledger."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0060_assigned_to_accounts"
VERSION = "1.38.0"
DESCRIPTION = "Statement entries assigned to accounts"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    "ALTER TABLE statement_entries ADD COLUMN account_id uuid",
    "ALTER TABLE statement_entries DROP CONSTRAINT statement_entries_wallet",
    # What is there was held to more, so nobody need wait for it to be looked at. A server of the version before, which
    # doesn't know the column, can't put such an entry back and leave its account behind.
    """
    ALTER TABLE statement_entries ADD CONSTRAINT statement_entries_wallet CHECK (
        CASE outcome
            WHEN 'assigned' THEN num_nonnulls(wallet_id, account_id) = 1
            WHEN 'topped_up' THEN wallet_id IS NOT NULL AND account_id IS NULL
            WHEN 'withdrawn' THEN wallet_id IS NOT NULL AND account_id IS NULL
            ELSE account_id IS NULL END) NOT VALID
    """,
)

_GRANTS = {"statement_entries": "UPDATE (account_id)"}
