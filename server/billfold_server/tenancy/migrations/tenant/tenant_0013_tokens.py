"""The vault: tokens with what they stand for, sealed; fingerprints of values; how often what was asked for."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0013_tokens"
VERSION = "1.38.0"
DESCRIPTION = "Vault tokens, fingerprints and the counts of what was asked for"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # An id says nothing of its age, so lists are in the order of `place`. What was forgotten has nothing left but the
    # fact that it was there.
    """
    CREATE TABLE vault_tokens (
        id uuid PRIMARY KEY,
        place uuid NOT NULL,
        kind text NOT NULL CHECK (kind IN ('card', 'bank_account', 'personal')),
        personal_type text,
        party_id uuid REFERENCES parties (id),
        value bytea,
        masked jsonb NOT NULL,
        fingerprint_id uuid,
        single_use boolean NOT NULL,
        claim uuid,
        used_at timestamptz,
        last_used_at timestamptz,
        expires_at timestamptz,
        metadata jsonb NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        forgotten_at timestamptz,
        CHECK ((kind = 'personal') = (personal_type IS NOT NULL)),
        CHECK ((claim IS NULL) = (used_at IS NULL)),
        CHECK (single_use OR used_at IS NULL),
        CHECK ((value IS NULL) = (forgotten_at IS NOT NULL)),
        CHECK (forgotten_at IS NULL OR (masked = '{}' AND metadata = '{}' AND fingerprint_id IS NULL))
    )
    """,
    "CREATE UNIQUE INDEX vault_tokens_in_order ON vault_tokens (place)",
    "CREATE INDEX vault_tokens_of_parties ON vault_tokens (party_id, place) WHERE party_id IS NOT NULL",
    "CREATE INDEX vault_tokens_of_values ON vault_tokens (fingerprint_id) WHERE fingerprint_id IS NOT NULL",
    "CREATE INDEX vault_tokens_that_end ON vault_tokens (expires_at) WHERE expires_at IS NOT NULL",
    # A value is known by a digest under each version of the key that counts, and keeps its id when the key changes.
    """
    CREATE TABLE vault_fingerprints (
        digest bytea PRIMARY KEY,
        version integer NOT NULL,
        purpose text NOT NULL,
        id uuid NOT NULL
    )
    """,
    "CREATE INDEX vault_fingerprints_by_id ON vault_fingerprints (id)",
    """
    CREATE TABLE vault_uses (
        caller text NOT NULL,
        purpose text NOT NULL,
        span text NOT NULL CHECK (span IN ('hour', 'day')),
        begins_at timestamptz NOT NULL,
        used integer NOT NULL CHECK (used >= 0),
        refused integer NOT NULL CHECK (refused >= 0),
        PRIMARY KEY (caller, purpose, span, begins_at)
    )
    """,
)

_GRANTS = {
    # For what a token stands never changes; it can only be forgotten.
    "vault_tokens": "SELECT, INSERT, DELETE, UPDATE (value, masked, fingerprint_id, claim, used_at, last_used_at, "
    "expires_at, metadata, version, updated_at, forgotten_at)",
    "vault_fingerprints": "SELECT, INSERT, UPDATE (version), DELETE",
    "vault_uses": "SELECT, INSERT, UPDATE (used, refused), DELETE",
}
