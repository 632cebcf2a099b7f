"""Whose wallets and accounts are and on what terms they are kept, as records of the ledger's chain (ADR 61).

Nothing that is there is read or rewritten: a ledger with wallets or accounts stays in the first era until they have
been recorded as they were found (``billfold ledger record-terms``).
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0049_terms"
VERSION = "1.38.0"
DESCRIPTION = "Terms of wallets and accounts, and eras of the ledger"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    """
    CREATE TABLE ledger_eras (
        number smallint PRIMARY KEY CHECK (number >= 2),
        recorded_at timestamptz NOT NULL UNIQUE
    )
    """,
    """
    CREATE TABLE wallet_terms (
        wallet_id uuid NOT NULL,
        kind text NOT NULL CHECK (kind IN ('opened', 'found', 'changed')),
        party_id uuid NOT NULL,
        status text NOT NULL,
        opened_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL UNIQUE,
        PRIMARY KEY (wallet_id, recorded_at)
    )
    """,
    """
    CREATE TABLE account_terms (
        account_id uuid NOT NULL,
        kind text NOT NULL CHECK (kind IN ('opened', 'found', 'changed')),
        wallet_id uuid,
        code text,
        type text NOT NULL,
        normal_side text NOT NULL,
        currency text NOT NULL,
        status text NOT NULL,
        overdraft_limit_minor bigint,
        opened_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL UNIQUE,
        PRIMARY KEY (account_id, recorded_at),
        CONSTRAINT account_terms_owner CHECK ((wallet_id IS NULL) <> (code IS NULL))
    )
    """,
    # The era that the first link begins with; it counts only while there is none.
    "ALTER TABLE ledger_head ADD COLUMN era smallint NOT NULL DEFAULT 1",
    "UPDATE ledger_head SET era = 2 WHERE NOT EXISTS (SELECT FROM wallets) AND NOT EXISTS (SELECT FROM accounts)",
)

_GRANTS = {"ledger_eras": "SELECT, INSERT", "wallet_terms": "SELECT, INSERT", "account_terms": "SELECT, INSERT"}
