"""Whoever could say what has become of payments still can, by the scope that is for nothing else (ADR 53).

It was a part of ``payments:write``, by which payments are ordered. Programs of partners don't get it: they would decide
about the bank's payments. Access tokens that were issued before don't say it; they live for ten minutes.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0046_payments_resolve"
VERSION = "1.38.0"
DESCRIPTION = "The scope payments:resolve beside payments:write"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=STATEMENTS)


_WITH_IT = """
scopes = ARRAY(SELECT each FROM unnest(scopes || '{payments:resolve}'::text[]) AS each ORDER BY each COLLATE "C")
"""
_ORDERS = "'payments:write' = ANY (scopes) AND NOT 'payments:resolve' = ANY (scopes)"
_OF_BANK = "client_id IN (SELECT id FROM api_clients WHERE partner_id IS NULL)"

STATEMENTS = (
    # Whoever has read a client before must read it again to change it.
    f"UPDATE api_clients SET version = version + 1, {_WITH_IT} WHERE {_ORDERS} AND partner_id IS NULL",  # noqa: S608 - constants
    f"UPDATE grants SET {_WITH_IT} WHERE {_ORDERS} AND revoked_at IS NULL AND {_OF_BANK}",  # noqa: S608 - constants
    f"UPDATE refresh_tokens SET {_WITH_IT} WHERE {_ORDERS} AND rotated_at IS NULL AND {_OF_BANK}",  # noqa: S608 - constants
)
