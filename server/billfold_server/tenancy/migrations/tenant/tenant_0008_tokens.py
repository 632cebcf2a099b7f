"""What tokens leave behind: what was shown once, what users have allowed, refresh tokens and what was revoked."""

from typing import Final

from billfold_server.tenancy.migrations import SqlMigration

__all__ = ["GRANTS", "STATEMENTS", "forwards"]

ID = "tenant_0008_tokens"
VERSION = "1.38.0"
DESCRIPTION = "Single-use tokens, grants, refresh tokens and revocations"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=STATEMENTS, grants=GRANTS
    )


STATEMENTS: Final = (
    # What may be shown once only, for as long as it would be believed; a digest says whose it is and what for.
    """
    CREATE TABLE seen_tokens (
        digest bytea PRIMARY KEY CHECK (length(digest) = 32),
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX seen_tokens_expires_at ON seen_tokens (expires_at)",
    # What a user has allowed a client at one authorization. Everything that is issued by it ends with it.
    """
    CREATE TABLE grants (
        id uuid PRIMARY KEY,
        client_id uuid NOT NULL,
        user_id uuid NOT NULL,
        scopes text[] NOT NULL,
        resources text[] NOT NULL,
        details jsonb NOT NULL CHECK (jsonb_typeof(details) = 'array'),
        acr text,
        amr text[] NOT NULL,
        factor_ids uuid[] NOT NULL,
        auth_time timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        revoked_at timestamptz,
        reason text CHECK (length(reason) BETWEEN 1 AND 200),
        CHECK ((revoked_at IS NULL) = (reason IS NULL))
    )
    """,
    "CREATE INDEX grants_user_id ON grants (user_id, id)",
    "CREATE INDEX grants_client_id ON grants (client_id, id)",
    "CREATE INDEX grants_revoked_at ON grants (revoked_at) WHERE revoked_at IS NOT NULL",
    # Of a refresh token a digest is kept alone. One that was rotated stays, so that its reuse is noticed.
    """
    CREATE TABLE refresh_tokens (
        digest bytea PRIMARY KEY CHECK (length(digest) = 32),
        grant_id uuid NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
        client_id uuid NOT NULL,
        scopes text[] NOT NULL,
        resources text[] NOT NULL,
        jkt text CHECK (length(jkt) = 43),
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        rotated_at timestamptz
    )
    """,
    "CREATE INDEX refresh_tokens_grant_id ON refresh_tokens (grant_id)",
    "CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at)",
    # Access tokens that were revoked before their time.
    """
    CREATE TABLE revoked_tokens (
        digest bytea PRIMARY KEY CHECK (length(digest) = 32),
        client_id uuid NOT NULL,
        revoked_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX revoked_tokens_client_id ON revoked_tokens (client_id, revoked_at)",
    "CREATE INDEX revoked_tokens_expires_at ON revoked_tokens (expires_at)",
)
"""The same tables are in each tenant's schema and in the platform's."""

GRANTS: Final = {
    # To skip what another worker is taking away, PostgreSQL asks for the right to change a column.
    "seen_tokens": "SELECT, INSERT, UPDATE (expires_at), DELETE",
    # What was allowed doesn't change; only its end is added.
    "grants": "SELECT, INSERT, UPDATE (revoked_at, reason), DELETE",
    "refresh_tokens": "SELECT, INSERT, UPDATE (rotated_at), DELETE",
    "revoked_tokens": "SELECT, INSERT, UPDATE (expires_at), DELETE",
}
