"""The registry's SQL. Every change of a tenant takes the registry's row first, so changes are one after the other."""

NEXT_REVISION = "UPDATE registry SET revision = revision + 1 WHERE id = 1 RETURNING revision"
"""Take the registry's row, and with it the right to change a tenant until the transaction ends."""

REVISION = "SELECT revision FROM registry WHERE id = 1"

_COLUMNS = (
    "t.id, t.slug, t.state, t.manifest, t.schema_version, t.revision, t.created_at, t.updated_at, "
    "s.owner_id, s.partner_id, s.sandbox_id, s.closed, o.slug AS owner_slug"
)
_TENANTS = "tenants t LEFT JOIN partner_sandboxes s ON s.tenant_id = t.id LEFT JOIN tenants o ON o.id = s.owner_id"

TENANT_BY_SLUG = f"SELECT {_COLUMNS} FROM {_TENANTS} WHERE t.slug = $1"  # noqa: S608

TENANTS_CHANGED_AFTER = f"SELECT {_COLUMNS} FROM {_TENANTS} WHERE t.revision > $1"  # noqa: S608

TENANTS_DELETED_AFTER = "SELECT id FROM deleted_tenants WHERE revision > $1"

TENANTS_AFTER_SLUG = f"SELECT {_COLUMNS} FROM {_TENANTS} WHERE t.slug > $1 ORDER BY t.slug LIMIT $2"  # noqa: S608

STATE = "SELECT state FROM tenants WHERE id = $1"

INSERT_TENANT = """
INSERT INTO tenants (id, slug, state, manifest, revision, created_at, updated_at)
VALUES ($1, $2, 'provisioning', $3, $4, $5, $5)
"""

UPDATE_MANIFEST = "UPDATE tenants SET manifest = $2, revision = $3, updated_at = $4 WHERE id = $1"

UPDATE_STATE = "UPDATE tenants SET state = $2, state_reason = $3, revision = $4, updated_at = $5 WHERE id = $1"

KEYS_ARE_DOOMED = """
SELECT EXISTS (SELECT FROM key_destructions WHERE tenant_id = $1
    AND (state IN ('approved', 'done') OR (state = 'pending' AND expires_at > $2)))
"""
"""Whether the destruction of a tenant's keys waits for another operator, is under way, or was done."""

UPDATE_VERSION = "UPDATE tenants SET schema_version = $2, revision = $3, updated_at = $4 WHERE id = $1"

HOSTS_OF_OTHERS = "SELECT host FROM tenant_hosts WHERE host = ANY($1) AND tenant_id <> $2 ORDER BY host"

DELETE_HOSTS = "DELETE FROM tenant_hosts WHERE tenant_id = $1"

INSERT_HOSTS = "INSERT INTO tenant_hosts (host, tenant_id) SELECT host, $2 FROM unnest($1::text[]) AS host"

DELETE_TENANT = "DELETE FROM tenants WHERE id = $1"

DELETING = "SELECT slug FROM tenants WHERE state = 'deleting' AND slug > $1 ORDER BY slug LIMIT $2"

REASON = "SELECT state_reason FROM tenants WHERE id = $1"

INSERT_DELETED = """
INSERT INTO deleted_tenants (id, slug, reason, revision, deleted_at, owner_id) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO NOTHING RETURNING id
"""
"""Returns nothing where another process has just deleted the same tenant."""

SANDBOX_OF = f"SELECT {_COLUMNS} FROM {_TENANTS} WHERE s.owner_id = $1 AND s.sandbox_id = $2"  # noqa: S608
"""The tenant that is a certain sandbox of a tenant's partner."""

SANDBOXES_OF = f"""
SELECT {_COLUMNS} FROM {_TENANTS}
WHERE s.owner_id = $1 AND ($2::uuid IS NULL OR s.partner_id = $2) AND t.slug > $3
ORDER BY t.slug LIMIT $4
"""  # noqa: S608
"""A page of the tenants that are sandboxes of a tenant's partners, or of one of these."""

INSERT_SANDBOX = """
INSERT INTO partner_sandboxes (tenant_id, owner_id, partner_id, sandbox_id) VALUES ($1, $2, $3, $4)
"""

MARK_CLOSED = "UPDATE partner_sandboxes SET closed = $2 WHERE tenant_id = $1"

DELETE_SANDBOX = "DELETE FROM partner_sandboxes WHERE tenant_id = $1"
