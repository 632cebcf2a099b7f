"""What banks send back of payments (pacs.004), and how much that is of each in all.

There are no foreign keys, for the reasons that ``tenant_0019_payments`` gives.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0064_payment_returns"
VERSION = "1.38.0"
DESCRIPTION = "Returns of payments, summed up"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    "ALTER TABLE payments ADD COLUMN returned_minor bigint NOT NULL DEFAULT 0",
    # What is there has returned nothing that was counted, so nobody need wait for it to be looked at.
    """
    ALTER TABLE payments ADD CONSTRAINT payments_never_return_more CHECK (
        returned_minor BETWEEN 0 AND amount_minor AND (returned_minor = 0 OR money = 'settled')) NOT VALID
    """,
    """
    CREATE TABLE payment_returns (
        journal_entry_id uuid PRIMARY KEY,
        payment_id uuid NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 1000000000000000)
    )
    """,
    "CREATE INDEX payment_returns_of_payments ON payment_returns (payment_id)",
)

_GRANTS = {"payments": "UPDATE (returned_minor)", "payment_returns": "SELECT, INSERT"}
