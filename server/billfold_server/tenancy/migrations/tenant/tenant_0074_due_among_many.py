"""Vault tokens are found by when they were used up, and statements of accounts by their month.

What deletes the ones and makes the others has looked at all that there were. A step of its own, built beside whoever
writes.

"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0074_due_among_many"
VERSION = "1.38.0"
DESCRIPTION = "What is due"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


_INDEXES = {
    "vault_tokens_used": "vault_tokens (used_at) WHERE used_at IS NOT NULL",
    "account_statements_of_months": "account_statements (starts_at, account_id)",
}
