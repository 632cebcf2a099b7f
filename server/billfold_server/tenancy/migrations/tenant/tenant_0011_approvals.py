"""Approvals: requests that wait for a second person."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0011_approvals"
VERSION = "1.38.0"
DESCRIPTION = "Requests that wait for a second person"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # That nobody decides on a request of their own is said here, too, where no route can forget it.
    """
    CREATE TABLE approvals (
        id uuid PRIMARY KEY,
        kind text NOT NULL,
        request bytea NOT NULL,
        made_by text NOT NULL,
        client_id uuid NOT NULL,
        user_id uuid,
        idempotency_key text NOT NULL,
        fingerprint bytea NOT NULL,
        request_id text,
        requested_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'executed')),
        decided_by text,
        decider_id uuid CHECK (decider_id <> user_id),
        decided_at timestamptz,
        reason text,
        executed_at timestamptz,
        outcome_status smallint,
        outcome bytea,
        CHECK ((state = 'pending') = (decider_id IS NULL)),
        CHECK ((state = 'executed') = (outcome_status IS NOT NULL))
    )
    """,
    "CREATE UNIQUE INDEX approvals_of_keys ON approvals (client_id, idempotency_key)",
    "CREATE INDEX approvals_pending ON approvals (id) WHERE state = 'pending'",
    "CREATE INDEX approvals_over ON approvals (expires_at) WHERE state <> 'approved'",
)

_GRANTS = {
    # What was asked for, by whom and until when is settled when it is asked.
    "approvals": "SELECT, INSERT, DELETE, UPDATE (state, decided_by, decider_id, decided_at, reason, executed_at, "
    "outcome_status, outcome)",
}
