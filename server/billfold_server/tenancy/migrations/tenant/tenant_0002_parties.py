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
    # search_terms holds the words by which a party is found, folded by parties.rules: what counts as a word or as the
    # same letter mustn't depend on how a database was set up.
    """
    CREATE TABLE parties (
        id uuid PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('person', 'company')),
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
        external_id text COLLATE "C" UNIQUE CHECK (length(external_id) BETWEEN 1 AND 100),
        email text CHECK (length(email) BETWEEN 3 AND 254),
        roles text[] NOT NULL CHECK (cardinality(roles) >= 1 AND roles <@ ARRAY['customer', 'merchant']),
        metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
        search_terms text[] NOT NULL,
        version integer NOT NULL CHECK (version >= 1),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX parties_search ON parties USING gin (array_to_tsvector(search_terms))",
)

_GRANTS = {"parties": "SELECT, INSERT, UPDATE"}
