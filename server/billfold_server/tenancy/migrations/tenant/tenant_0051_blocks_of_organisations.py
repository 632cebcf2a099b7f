"""A block may name an organisation of a directory by which no client was ever registered here."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0051_blocks_of_organisations"
VERSION = "1.38.0"
DESCRIPTION = "Blocks of organisations that have no client"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS)


_STATEMENTS = (
    # By what a block is named, as text: what lists go by. It follows from the row, so that whoever writes rows as they
    # were writes it, too.
    """
    ALTER TABLE blocked_third_parties ADD COLUMN named text NOT NULL
        GENERATED ALWAYS AS (coalesce(client_id::text, third_party::text)) STORED
    """,
    "ALTER TABLE blocked_third_parties DROP CONSTRAINT blocked_third_parties_pkey",
    "ALTER TABLE blocked_third_parties ADD PRIMARY KEY (named)",
    "ALTER TABLE blocked_third_parties ALTER COLUMN client_id DROP NOT NULL",
    "CREATE UNIQUE INDEX blocked_third_parties_of_clients ON blocked_third_parties (client_id)",
)
