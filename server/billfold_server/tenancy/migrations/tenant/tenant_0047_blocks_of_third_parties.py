"""A block is of the third party that a directory names, with whatever it has registered or will register."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0047_blocks_of_third_parties"
VERSION = "1.38.0"
DESCRIPTION = "Blocks of third parties, not of their clients"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS)


_STATEMENTS = (
    # Null is a client for which no directory vouches: it alone is blocked.
    "ALTER TABLE blocked_third_parties ADD COLUMN third_party jsonb CHECK (jsonb_typeof(third_party) = 'object')",
    # Blocks that there are go on for their clients, and for one third party the oldest stands for all it has.
    """
    UPDATE blocked_third_parties AS b SET third_party = n.third_party
    FROM (
        SELECT DISTINCT ON (third_party) client_id, third_party
        FROM (
            SELECT o.client_id, o.blocked_at, jsonb_build_object(
                'directory', a.registered_by,
                CASE WHEN a.organisation_id IS NULL THEN 'software_id' ELSE 'organisation_id' END,
                coalesce(a.organisation_id, a.software_id)
            ) AS third_party
            FROM blocked_third_parties AS o JOIN api_clients AS a ON a.id = o.client_id
            WHERE a.registered_by NOT IN ('operator', 'partner', 'open')
                AND coalesce(a.organisation_id, a.software_id) IS NOT NULL
        ) AS named
        ORDER BY third_party, blocked_at, client_id
    ) AS n
    WHERE n.client_id = b.client_id
    """,
    "CREATE UNIQUE INDEX blocked_third_parties_of_directories ON blocked_third_parties (third_party)",
)
