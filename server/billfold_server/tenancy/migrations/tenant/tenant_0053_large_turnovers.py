"""Account statements of accounts with which more has moved in a month than a bigint holds."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0053_large_turnovers"
VERSION = "1.38.0"
DESCRIPTION = "Turnovers beyond a bigint"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants={})


# What both sums have beyond what their columns hold. A new column beside them, not another type for them: that would
# write the whole table anew, and give a server that knows only the old ones something else than a number.
_STATEMENTS = (
    "ALTER TABLE account_statements ADD COLUMN beyond_minor numeric(38, 0) NOT NULL DEFAULT 0",
    # What is there already has the default, so nobody need wait for it to be looked at.
    "ALTER TABLE account_statements ADD CONSTRAINT account_statements_beyond CHECK (beyond_minor >= 0) NOT VALID",
)
