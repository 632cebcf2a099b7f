"""What holds are placed as, as records of the ledger's chain (ADR 66).

Nothing that is there is read or rewritten: holds from before go on without, and are verified as they were.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0057_hold_terms"
VERSION = "1.38.0"
DESCRIPTION = "Terms of holds"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    """
    CREATE TABLE hold_terms (
        hold_id uuid PRIMARY KEY,
        wallet_id uuid NOT NULL,
        account_id uuid NOT NULL,
        to_wallet_id uuid,
        to_account_id uuid,
        currency text NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 1000000000000000),
        expires_at timestamptz,
        text_salt bytea,
        text_commitment bytea CHECK (length(text_commitment) = 32),
        recorded_at timestamptz NOT NULL UNIQUE,
        CONSTRAINT hold_terms_text CHECK (text_salt IS NULL OR text_commitment IS NOT NULL)
    )
    """,
)

# What was placed never changes; the salt goes with the hold's text, when somebody whom it tells of is forgotten.
_GRANTS = {"hold_terms": "SELECT, INSERT, UPDATE (text_salt)"}
