"""Withdrawals that banks' statements show to have left, or to have come back.

There are no foreign keys, for the reasons that ``tenant_0005_statements`` gives.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0065_withdrawals_shown"
VERSION = "1.38.0"
DESCRIPTION = "Withdrawals that statements show"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    "ALTER TABLE statements ADD COLUMN matched integer NOT NULL DEFAULT 0",
    "ALTER TABLE statements ADD CONSTRAINT statements_matched CHECK (matched BETWEEN 0 AND suspense) NOT VALID",
    "ALTER TABLE statement_entries ADD COLUMN withdrawal_id uuid",
    # A server of the version before, which doesn't know the column, can't put such an entry back and leave it behind.
    """
    ALTER TABLE statement_entries ADD CONSTRAINT statement_entries_withdrawal CHECK (
        withdrawal_id IS NULL OR (outcome = 'assigned' AND wallet_id IS NOT NULL)) NOT VALID
    """,
    """
    CREATE TABLE withdrawals_shown (
        withdrawal_id uuid PRIMARY KEY,
        amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 1000000000000000),
        out_minor bigint NOT NULL,
        back_minor bigint NOT NULL,
        CONSTRAINT withdrawals_shown_once CHECK (out_minor BETWEEN 0 AND amount_minor),
        CONSTRAINT withdrawals_shown_back CHECK (back_minor BETWEEN 0 AND out_minor)
    )
    """,
)

_GRANTS = {
    "statement_entries": "UPDATE (withdrawal_id)",
    "withdrawals_shown": "SELECT, INSERT, UPDATE (out_minor, back_minor)",
}
