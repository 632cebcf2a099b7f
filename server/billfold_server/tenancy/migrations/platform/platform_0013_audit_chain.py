"""The chain of the platform's own audit trail, and when trails are sealed next (ADR 67)."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "platform_0013_audit_chain"
VERSION = "1.38.0"
DESCRIPTION = "Chain of the platform's audit trail"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    "ALTER TABLE audit_records ADD COLUMN link bigint",
    "ALTER TABLE audit_records ADD COLUMN salt bytea",
    # As a tenant's trail has it, but that nothing of the platform's is ever deleted.
    "ALTER TABLE audit_records ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY audit_records_read ON audit_records FOR SELECT USING (true)",
    "CREATE POLICY audit_records_add ON audit_records FOR INSERT WITH CHECK (link IS NULL)",
    """
    CREATE POLICY audit_records_seal ON audit_records FOR UPDATE
        USING (link IS NULL) WITH CHECK (link IS NOT NULL)
    """,
    """
    CREATE TABLE audit_links (
        number bigint PRIMARY KEY CHECK (number > 0),
        sealed_at timestamptz NOT NULL,
        leaves bytea NOT NULL CHECK (length(leaves) > 0 AND length(leaves) % 32 = 0),
        record_ids bytea NOT NULL CHECK (length(record_ids) = length(leaves) / 2 - 16),
        ordered bytea NOT NULL CHECK (length(ordered) % 32 = 0),
        ordered_to uuid,
        hash bytea NOT NULL CHECK (length(hash) = 32)
    )
    """,
    "ALTER TABLE audit_links ALTER COLUMN leaves SET STORAGE EXTERNAL",
    """
    CREATE TABLE audit_head (
        id smallint PRIMARY KEY CHECK (id = 1),
        number bigint NOT NULL CHECK (number >= 0),
        hash bytea NOT NULL CHECK (length(hash) = 32),
        skips bytea NOT NULL CHECK (length(skips) % 32 = 0),
        sealed_at timestamptz NOT NULL,
        ordered_to uuid
    )
    """,
    """
    INSERT INTO audit_head (id, number, hash, skips, sealed_at)
    VALUES (1, 0, decode(repeat('00', 32), 'hex'), '', now())
    """,
    "CREATE INDEX audit_records_unsealed ON audit_records (id) WHERE link IS NULL",
    # The process that moves it on looks at all trails; the others needn't.
    "CREATE TABLE audit_rounds (id smallint PRIMARY KEY CHECK (id = 1), next_at timestamptz NOT NULL)",
    "INSERT INTO audit_rounds (id, next_at) VALUES (1, now())",
)

_GRANTS = {
    "audit_records": "UPDATE (link, salt)",
    "audit_links": "SELECT, INSERT",
    "audit_head": "SELECT, UPDATE (number, hash, skips, sealed_at, ordered_to)",
    "audit_rounds": "SELECT, INSERT, UPDATE (next_at)",
}
