"""Secrets of clients that were replaced more than once, and are taken for as long as was said of them."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "platform_0014_earlier_secrets"
VERSION = "1.38.0"
DESCRIPTION = "Clients' secrets before the former one"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    "ALTER TABLE api_clients ADD COLUMN earlier_secret_digests bytea[] NOT NULL DEFAULT '{}'",
    "ALTER TABLE api_clients ADD COLUMN earlier_secrets_until timestamptz[] NOT NULL DEFAULT '{}'",
)

_GRANTS = {"api_clients": "UPDATE (earlier_secret_digests, earlier_secrets_until)"}
