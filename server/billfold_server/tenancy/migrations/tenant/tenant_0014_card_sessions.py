"""Pages at which cards are entered, each for one card."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0014_card_sessions"
VERSION = "1.38.0"
DESCRIPTION = "Card sessions"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # An id opens an empty form, once; all of its bits are random.
    """
    CREATE TABLE card_sessions (
        id uuid PRIMARY KEY,
        client_id uuid NOT NULL,
        party_id uuid REFERENCES parties (id),
        return_url text CHECK (length(return_url) <= 2000),
        embed_origins text[] NOT NULL,
        single_use boolean NOT NULL,
        metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
        vault_token_id uuid,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        completed_at timestamptz,
        CHECK ((vault_token_id IS NULL) = (completed_at IS NULL))
    )
    """,
    "CREATE INDEX card_sessions_that_end ON card_sessions (expires_at)",
    "CREATE INDEX card_sessions_of_parties ON card_sessions (party_id, id) WHERE party_id IS NOT NULL",
)

_GRANTS = {"card_sessions": "SELECT, INSERT, DELETE, UPDATE (vault_token_id, completed_at)"}
