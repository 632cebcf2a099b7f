"""Top-ups that banks' statements show to have come in, or to have gone back.

There are no foreign keys, for the reasons that ``tenant_0005_statements`` gives.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0067_top_ups_shown"
VERSION = "1.38.0"
DESCRIPTION = "Top-ups that statements show"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    "ALTER TABLE statement_entries ADD COLUMN top_up_id uuid",
    # A server of the version before, which doesn't know the column, can't put such an entry back and leave it behind.
    """
    ALTER TABLE statement_entries ADD CONSTRAINT statement_entries_top_up CHECK (
        top_up_id IS NULL OR (outcome = 'assigned' AND wallet_id IS NOT NULL AND withdrawal_id IS NULL)) NOT VALID
    """,
    """
    CREATE TABLE top_ups_shown (
        top_up_id uuid PRIMARY KEY,
        amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 1000000000000000),
        in_minor bigint NOT NULL,
        back_minor bigint NOT NULL,
        CONSTRAINT top_ups_shown_once CHECK (in_minor BETWEEN 0 AND amount_minor),
        CONSTRAINT top_ups_shown_back CHECK (back_minor BETWEEN 0 AND in_minor)
    )
    """,
)

_GRANTS = {
    "statement_entries": "UPDATE (top_up_id)",
    "top_ups_shown": "SELECT, INSERT, UPDATE (in_minor, back_minor)",
}
