"""The chain of the audit trail (ADR 67).

No row is read or rewritten: what was recorded before is sealed in pieces once a server of this version runs.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0058_audit_chain"
VERSION = "1.38.0"
DESCRIPTION = "Chain of the audit trail"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # Which link holds the record; absent until it is sealed.
    "ALTER TABLE audit_records ADD COLUMN link bigint",
    # It goes with the record, so that nothing of that can be guessed by its hash any longer.
    "ALTER TABLE audit_records ADD COLUMN salt bytea",
    "ALTER POLICY audit_records_add ON audit_records WITH CHECK (link IS NULL)",
    # Whoever serves requests may say so once of each record, and never take it back.
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
    # Hashes can't be compressed, and it costs time to find that out.
    "ALTER TABLE audit_links ALTER COLUMN leaves SET STORAGE EXTERNAL",
    "ALTER TABLE audit_links ALTER COLUMN ordered SET STORAGE EXTERNAL",
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
)

_GRANTS = {
    "audit_records": "UPDATE (link, salt)",
    "audit_links": "SELECT, INSERT",
    "audit_head": "SELECT, UPDATE (number, hash, skips, sealed_at, ordered_to)",
}
