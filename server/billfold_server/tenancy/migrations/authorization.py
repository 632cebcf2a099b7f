"""The tables of authorization, which are the same in each tenant's schema and in the platform's."""

from typing import Final

__all__ = ["GRANTS", "STATEMENTS"]

STATEMENTS: Final = (
    # A request that a client has pushed. Of its address only a digest is kept, so that a copy of the table opens none.
    """
    CREATE TABLE pushed_requests (
        digest bytea PRIMARY KEY CHECK (length(digest) = 32),
        client_id uuid NOT NULL,
        request json NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
        completed_at timestamptz
    )
    """,
    "CREATE INDEX pushed_requests_expires_at ON pushed_requests (expires_at)",
    # A browser that has come with one of them. Whoever hasn't both the id and the browser's cookie isn't that browser.
    """
    CREATE TABLE interactions (
        digest bytea PRIMARY KEY CHECK (length(digest) = 32),
        browser_digest bytea NOT NULL CHECK (length(browser_digest) = 32),
        request_digest bytea NOT NULL REFERENCES pushed_requests (digest) ON DELETE CASCADE,
        user_id uuid,
        challenge_id uuid,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL CHECK (expires_at > created_at)
    )
    """,
    "CREATE INDEX interactions_request_digest ON interactions (request_digest)",
    # A row outlives its code, so that whoever comes second with it can be told from who guesses.
    """
    CREATE TABLE authorization_codes (
        digest bytea PRIMARY KEY CHECK (length(digest) = 32),
        client_id uuid NOT NULL,
        grant_id uuid NOT NULL,
        redirect_uri text NOT NULL,
        code_challenge text NOT NULL CHECK (length(code_challenge) = 43),
        scopes text[] NOT NULL,
        resources text[] NOT NULL,
        nonce text,
        state_hash text CHECK (length(state_hash) <= 50),
        dpop_jkt text CHECK (length(dpop_jkt) = 43),
        id_token_claims json NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
        used_at timestamptz
    )
    """,
    "CREATE INDEX authorization_codes_expires_at ON authorization_codes (expires_at)",
)

GRANTS: Final = {
    "pushed_requests": "SELECT, INSERT, UPDATE (completed_at), DELETE",
    # What was asked, and by which browser, never changes.
    "interactions": "SELECT, INSERT, UPDATE (user_id, challenge_id), DELETE",
    "authorization_codes": "SELECT, INSERT, UPDATE (used_at), DELETE",
}
