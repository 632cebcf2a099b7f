"""The registry of tenants."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "platform_0001_tenants"
VERSION = "1.38.0"
DESCRIPTION = "The deployment, its tenants and their host names"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    """
    CREATE TABLE deployment (
        id text PRIMARY KEY CHECK (id ~ '^[0-9a-z]{8}$'),
        secret_fingerprint text NOT NULL,
        created_at timestamptz NOT NULL
    )
    """,
    # One row, which every change of a tenant counts up; by it the workers notice that there is something to read.
    """
    CREATE TABLE registry (
        id smallint PRIMARY KEY CHECK (id = 1),
        revision bigint NOT NULL CHECK (revision >= 0)
    )
    """,
    "INSERT INTO registry (id, revision) VALUES (1, 0)",
    """
    CREATE TABLE tenants (
        id uuid PRIMARY KEY,
        slug text NOT NULL UNIQUE,
        state text NOT NULL CHECK (state IN ('provisioning', 'active', 'suspended', 'deleting')),
        state_reason text,
        manifest text NOT NULL,
        schema_version text,
        revision bigint NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX tenants_revision ON tenants (revision)",
    """
    CREATE TABLE tenant_hosts (
        host text PRIMARY KEY,
        tenant_id uuid NOT NULL REFERENCES tenants (id)
    )
    """,
    "CREATE INDEX tenant_hosts_tenant_id ON tenant_hosts (tenant_id)",
    # What was deleted stays known: the workers learn of it by its revision, and operators can see what had the slug.
    """
    CREATE TABLE deleted_tenants (
        id uuid PRIMARY KEY,
        slug text NOT NULL,
        reason text,
        revision bigint NOT NULL,
        deleted_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX deleted_tenants_revision ON deleted_tenants (revision)",
)

_GRANTS = {
    "deployment": "SELECT",
    "registry": "SELECT, UPDATE",
    "tenants": "SELECT, INSERT, UPDATE, DELETE",
    "tenant_hosts": "SELECT, INSERT, DELETE",
    "deleted_tenants": "SELECT, INSERT",
}
