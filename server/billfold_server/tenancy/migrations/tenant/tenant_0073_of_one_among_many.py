"""What is of one customer or client is found among all others', and what counts of it among all of theirs.

It is what somebody has agreed to and is still to use, and what they have agreed to with a payee; their sessions, and
what banks' statements say of their wallets; what a third party was told; and what a maker has asked for and is open. A
step of its own, built beside whoever writes.

"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0073_of_one_among_many"
VERSION = "1.38.0"
DESCRIPTION = "What is of one customer or client"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


_INDEXES = {
    "sca_challenges_to_use": "sca_challenges (user_id) WHERE state IN ('open', 'completed') AND used_at IS NULL",
    "sca_challenges_payees": "sca_challenges (user_id, payee_key, id) WHERE state = 'completed'",
    "sessions_of_users": "sessions (user_id, id)",
    "statement_entries_wallets": "statement_entries (wallet_id, id) WHERE wallet_id IS NOT NULL",
    "event_notifications_of_clients": "event_notifications (client_id, id)",
    "approvals_of_requests": "approvals (fingerprint, id) WHERE state IN ('pending', 'approved')",
}
