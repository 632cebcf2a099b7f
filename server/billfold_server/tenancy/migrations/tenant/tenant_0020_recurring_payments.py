"""Variable recurring payments: what has been paid within each period of a consent."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0020_recurring_payments"
VERSION = "1.38.0"
DESCRIPTION = "Recurring payments"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # The ledger's engine decides what may be paid; that no more is, the table says once more.
    """
    CREATE TABLE vrp_periods (
        consent_id uuid NOT NULL REFERENCES consents (id) ON DELETE CASCADE,
        period_type text NOT NULL CHECK (period_type IN ('Day', 'Week', 'Fortnight', 'Month', 'Half-year', 'Year')),
        period_alignment text NOT NULL CHECK (period_alignment IN ('Consent', 'Calendar')),
        starts_on date NOT NULL,
        currency text NOT NULL CHECK (length(currency) = 3),
        ends_before date NOT NULL,
        limit_minor bigint NOT NULL CHECK (limit_minor >= 0),
        spent_minor bigint NOT NULL,
        payments bigint NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (consent_id, period_type, period_alignment, starts_on, currency),
        CHECK (spent_minor BETWEEN 0 AND limit_minor),
        CHECK (payments >= 0 AND (payments = 0) = (spent_minor = 0)),
        CHECK (starts_on < ends_before)
    )
    """,
)

_GRANTS = {"vrp_periods": "SELECT, INSERT, UPDATE (spent_minor, payments, updated_at)"}
