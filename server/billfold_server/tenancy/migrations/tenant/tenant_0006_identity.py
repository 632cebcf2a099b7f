"""API clients and signing keys."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0006_identity"
VERSION = "1.38.0"
DESCRIPTION = "API clients and signing keys"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # Of a client's secret only a keyed digest is kept.
    """
    CREATE TABLE api_clients (
        id uuid PRIMARY KEY,
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
        secret_digest bytea NOT NULL CHECK (length(secret_digest) = 32),
        scopes text[] NOT NULL,
        state text NOT NULL CHECK (state IN ('active', 'disabled')),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    # A private key is sealed by the deployment's keyring, and bound to its owner and id.
    """
    CREATE TABLE signing_keys (
        id uuid PRIMARY KEY,
        algorithm text NOT NULL CHECK (algorithm IN ('ES256')),
        public_jwk text NOT NULL,
        sealed_private bytea NOT NULL,
        state text NOT NULL CHECK (state IN ('active', 'retired')),
        created_at timestamptz NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX signing_keys_one_signs ON signing_keys (algorithm) WHERE state = 'active'",
)

_GRANTS = {
    # What a client may, and by which secret, is settled when it is made.
    "api_clients": "SELECT, INSERT, UPDATE (state, updated_at)",
    "signing_keys": "SELECT, INSERT",
}
