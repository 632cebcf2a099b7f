"""Sandboxes that partner organisations have asked for, and how far each of them is."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0033_partner_sandboxes"
VERSION = "1.38.0"
DESCRIPTION = "Sandboxes of partner organisations"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    """
    CREATE TABLE partner_sandboxes (
        id uuid PRIMARY KEY,
        partner_id uuid NOT NULL REFERENCES partners (id),
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 40),
        state text NOT NULL CHECK (state IN ('preparing', 'ready', 'resetting', 'removing')),
        step text NOT NULL CHECK (step IN ('queued', 'tenant', 'customers', 'done')),
        seeded boolean NOT NULL,
        seed integer CHECK (seed >= 0),
        version integer NOT NULL CHECK (version > 0),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CHECK (seeded OR seed IS NULL),
        UNIQUE (partner_id, name)
    )
    """,
    "CREATE INDEX partner_sandboxes_unfinished ON partner_sandboxes (id) WHERE state <> 'ready'",
)

_GRANTS = {
    "partner_sandboxes": "SELECT, INSERT, DELETE, UPDATE (state, step, seeded, seed, version, updated_at)",
}
