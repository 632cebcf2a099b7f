"""Where a tenant's programs are told what happened, what is to be told, and what came of it."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0025_webhooks"
VERSION = "1.38.0"
DESCRIPTION = "Webhook endpoints, deliveries and attempts"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # Nothing is delivered that happened before `begins_after`. Times are on the tenant's clock, but for the end of a
    # former secret, which is a matter of the receiver's and so real.
    """
    CREATE TABLE webhook_endpoints (
        id uuid PRIMARY KEY,
        url text NOT NULL CHECK (length(url) BETWEEN 1 AND 2000),
        description text CHECK (length(description) BETWEEN 1 AND 200),
        event_types text[],
        state text NOT NULL CHECK (state IN ('enabled', 'paused', 'disabled')),
        state_reason text CHECK (state_reason IN ('requested', 'unresponsive', 'gone')),
        sealed_keys bytea NOT NULL,
        public_key bytea NOT NULL CHECK (length(public_key) = 32),
        former_public_key bytea CHECK (length(former_public_key) = 32),
        former_until timestamptz,
        begins_after bigint NOT NULL CHECK (begins_after >= 0),
        taken_at timestamptz,
        version integer NOT NULL CHECK (version > 0),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CHECK ((state = 'enabled') = (state_reason IS NULL)),
        CHECK ((former_public_key IS NULL) = (former_until IS NULL))
    )
    """,
    # One event is delivered to one endpoint once, however often it is read. Only what has a time is attempted.
    """
    CREATE TABLE webhook_deliveries (
        id uuid PRIMARY KEY,
        endpoint_id uuid NOT NULL,
        event_id uuid NOT NULL,
        sequence bigint NOT NULL CHECK (sequence > 0),
        event_type text NOT NULL CHECK (length(event_type) BETWEEN 1 AND 100),
        state text NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead', 'cancelled')),
        attempts integer NOT NULL CHECK (attempts >= 0),
        begun_at timestamptz NOT NULL,
        next_attempt_at timestamptz,
        last_attempt_at timestamptz,
        last_result text CHECK (length(last_result) BETWEEN 1 AND 40),
        created_at timestamptz NOT NULL,
        UNIQUE (endpoint_id, sequence),
        CHECK (state = 'waiting' OR next_attempt_at IS NULL)
    )
    """,
    """
    CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at, sequence)
        WHERE next_attempt_at IS NOT NULL
    """,
    "CREATE INDEX webhook_deliveries_of_endpoint ON webhook_deliveries (endpoint_id, id)",
    "CREATE INDEX webhook_deliveries_of_event ON webhook_deliveries (event_id)",
    "CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at)",
    """
    CREATE TABLE webhook_attempts (
        id uuid PRIMARY KEY,
        delivery_id uuid NOT NULL,
        attempted_at timestamptz NOT NULL,
        took_ms integer NOT NULL CHECK (took_ms >= 0),
        result text NOT NULL CHECK (length(result) BETWEEN 1 AND 40),
        sealed_exchange bytea NOT NULL CHECK (length(sealed_exchange) <= 65536)
    )
    """,
    "CREATE INDEX webhook_attempts_of_delivery ON webhook_attempts (delivery_id, id)",
)

_GRANTS = {
    "webhook_endpoints": "SELECT, INSERT, DELETE, UPDATE (url, description, event_types, state, state_reason, "
    "sealed_keys, public_key, former_public_key, former_until, begins_after, taken_at, version, updated_at)",
    "webhook_deliveries": "SELECT, INSERT, DELETE, UPDATE (state, attempts, begun_at, next_attempt_at, "
    "last_attempt_at, last_result)",
    "webhook_attempts": "SELECT, INSERT, DELETE",
}
