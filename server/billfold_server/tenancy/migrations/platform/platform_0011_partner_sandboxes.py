"""Which tenants are sandboxes of which partner organisations, at which tenant."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "platform_0011_partner_sandboxes"
VERSION = "1.38.0"
DESCRIPTION = "Sandboxes of partner organisations"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # The one place that says whose a sandbox is. What stands in a tenant's own tables is what somebody there has asked
    # for, and gives nobody a way to a tenant that isn't named here. To whom one belongs is settled when it is made.
    """
    CREATE TABLE partner_sandboxes (
        tenant_id uuid PRIMARY KEY REFERENCES tenants (id),
        owner_id uuid NOT NULL REFERENCES tenants (id),
        partner_id uuid NOT NULL,
        sandbox_id uuid NOT NULL,
        closed boolean NOT NULL DEFAULT false,
        CHECK (tenant_id <> owner_id),
        UNIQUE (owner_id, sandbox_id)
    )
    """,
)

_GRANTS = {"partner_sandboxes": "SELECT, INSERT, UPDATE (closed), DELETE"}
