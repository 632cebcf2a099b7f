"""Account statements: what was booked to wallets' accounts, month by month."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0018_account_statements"
VERSION = "1.38.0"
DESCRIPTION = "Account statements"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # Each month is a part of the journal: it begins where the one before has ended, so no entry is in none or in two.
    """
    CREATE TABLE account_statement_months (
        starts_at timestamptz PRIMARY KEY,
        ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
        behind uuid NOT NULL,
        until uuid NOT NULL CHECK (until >= behind),
        made_at timestamptz
    )
    """,
    """
    CREATE TABLE account_statements (
        id uuid PRIMARY KEY,
        wallet_id uuid NOT NULL REFERENCES wallets (id),
        account_id uuid NOT NULL,
        currency text NOT NULL,
        starts_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        behind uuid NOT NULL,
        until uuid NOT NULL,
        opening_minor bigint NOT NULL,
        closing_minor bigint NOT NULL,
        credits_minor bigint NOT NULL CHECK (credits_minor >= 0),
        debits_minor bigint NOT NULL CHECK (debits_minor >= 0),
        entries bigint NOT NULL CHECK (entries >= 1),
        created_at timestamptz NOT NULL,
        UNIQUE (account_id, starts_at),
        CONSTRAINT account_statements_whole CHECK (closing_minor = opening_minor + credits_minor - debits_minor)
    )
    """,
    "CREATE INDEX account_statements_of_wallets ON account_statements (wallet_id, id)",
)

_GRANTS = {
    # A statement never changes.
    "account_statement_months": "SELECT, INSERT, UPDATE (made_at)",
    "account_statements": "SELECT, INSERT",
}
