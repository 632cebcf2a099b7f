"""Payments that the bank's own clients order, under no consent."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0039_own_payments"
VERSION = "1.38.0"
DESCRIPTION = "Payments under no consent"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS)


_STATEMENTS = (
    "ALTER TABLE payments ALTER COLUMN consent_id DROP NOT NULL",
    # What a third party orders stays under a consent, whatever else goes wrong.
    """
    ALTER TABLE payments ADD CONSTRAINT payments_under_consents
        CHECK ((consent_id IS NULL) = (kind = 'credit_transfer'))
    """,
)
