"""Partner organisations, and whose members, API clients and webhook endpoints belong to one."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0031_partners"
VERSION = "1.38.0"
DESCRIPTION = "Partner organisations"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    """
    CREATE TABLE partners (
        id uuid PRIMARY KEY,
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
        external_id text UNIQUE CHECK (length(external_id) BETWEEN 1 AND 100),
        state text NOT NULL CHECK (state IN ('active', 'suspended')),
        client_scopes text[] NOT NULL,
        version integer NOT NULL CHECK (version > 0),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    # To whom something belongs is settled when it is made, so none of these columns may be updated.
    "ALTER TABLE api_clients ADD COLUMN partner_id uuid REFERENCES partners (id)",
    "CREATE INDEX api_clients_partner_id ON api_clients (partner_id, id) WHERE partner_id IS NOT NULL",
    "ALTER TABLE webhook_endpoints ADD COLUMN partner_id uuid REFERENCES partners (id)",
    "CREATE INDEX webhook_endpoints_partner_id ON webhook_endpoints (partner_id, id) WHERE partner_id IS NOT NULL",
    "ALTER TABLE users ADD COLUMN partner_id uuid REFERENCES partners (id)",
    "CREATE INDEX users_partner_id ON users (partner_id, id) WHERE partner_id IS NOT NULL",
    "ALTER TABLE users DROP CONSTRAINT users_login_realm_check",
    """
    ALTER TABLE users ADD CONSTRAINT users_login_realm_check CHECK (login_realm IN ('psu', 'staff', 'partner'))
    """,
    # A member of a partner is neither a customer nor staff, whatever else is wrong.
    """
    ALTER TABLE users ADD CONSTRAINT users_partner_check CHECK ((login_realm = 'partner') = (partner_id IS NOT NULL))
    """,
)

_GRANTS = {"partners": "SELECT, INSERT, UPDATE (name, external_id, state, client_scopes, version, updated_at)"}
