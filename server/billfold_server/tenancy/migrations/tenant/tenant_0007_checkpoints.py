"""Checkpoints: what a ledger keeps of the months that were detached from it.

A checkpoint's facts are a record of the chain, which seals it. The balances are those of the newest checkpoint alone,
so there is one row for each account, however often months are detached.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0007_checkpoints"
VERSION = "1.38.0"
DESCRIPTION = "Checkpoints of the ledger"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    """
    CREATE TABLE ledger_checkpoints (
        number bigint PRIMARY KEY CHECK (number >= 1),
        month text NOT NULL UNIQUE CHECK (month ~ '^[0-9]{4}-[0-9]{2}$'),
        entry_id uuid NOT NULL,
        sequence bigint NOT NULL CHECK (sequence >= 1),
        effective_high timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL UNIQUE,
        balances_digest bytea NOT NULL CHECK (length(balances_digest) = 32),
        archive_digest bytea CHECK (length(archive_digest) = 32)
    )
    """,
    """
    CREATE TABLE checkpoint_balances (
        account_id uuid PRIMARY KEY,
        posted_minor bigint NOT NULL
    )
    """,
)

_GRANTS = {
    # An import brings the checkpoints of the ledger that it comes from; nobody changes one.
    "ledger_checkpoints": "SELECT, INSERT",
    "checkpoint_balances": "SELECT, INSERT",
}
