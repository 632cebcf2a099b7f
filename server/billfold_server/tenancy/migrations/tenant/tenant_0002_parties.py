"""The people and companies that own wallets."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0002_parties"
VERSION = "1.38.0"
DESCRIPTION = "Parties and their search index"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # Name, mail address and metadata lie in one value, sealed under a key of the party's own. It is found by keyed
    # digests of the beginnings of its words (parties.rules), made by the version of the key that goes with them. Who
    # was forgotten stays as a tombstone, because the books name it.
    """
    CREATE TABLE parties (
        id uuid PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('person', 'company')),
        sealed_profile bytea,
        external_id text COLLATE "C" UNIQUE CHECK (length(external_id) BETWEEN 1 AND 100),
        roles text[] NOT NULL CHECK (cardinality(roles) >= 1 AND roles <@ ARRAY['customer', 'merchant']),
        search_digests bigint[] NOT NULL DEFAULT '{}',
        search_version integer NOT NULL DEFAULT 0 CHECK (search_version >= 0),
        forgotten_at timestamptz,
        version integer NOT NULL CHECK (version >= 1),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT parties_forgotten CHECK (
            forgotten_at IS NULL
            OR (sealed_profile IS NULL AND external_id IS NULL AND search_digests = '{}'))
    )
    """,
    "CREATE INDEX parties_search ON parties USING gin (search_digests)",
    "CREATE INDEX parties_search_version ON parties (search_version) WHERE sealed_profile IS NOT NULL",
)

_GRANTS = {"parties": "SELECT, INSERT, UPDATE"}
