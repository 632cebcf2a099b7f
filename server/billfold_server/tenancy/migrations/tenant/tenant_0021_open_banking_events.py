"""What third parties are told of: their subscriptions, and the notifications that they haven't read."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0021_open_banking_events"
VERSION = "1.38.0"
DESCRIPTION = "Event subscriptions and notifications of third parties"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # A third party has one subscription.
    """
    CREATE TABLE event_subscriptions (
        id uuid PRIMARY KEY,
        client_id uuid NOT NULL UNIQUE,
        callback_url text CHECK (length(callback_url) <= 2000),
        version text NOT NULL CHECK (length(version) BETWEEN 1 AND 10),
        event_types text[],
        paused_because text CHECK (paused_because IN ('gone', 'unresponsive')),
        taken_at timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    # Times are on the tenant's clock. One event is told once per third party and resource, however often it is read.
    """
    CREATE TABLE event_notifications (
        id uuid PRIMARY KEY,
        client_id uuid NOT NULL,
        event_id uuid NOT NULL,
        sequence bigint NOT NULL,
        scope text NOT NULL CHECK (scope IN ('accounts', 'payments', 'fundsconfirmations')),
        resource text NOT NULL CHECK (length(resource) BETWEEN 1 AND 100),
        token text NOT NULL,
        occurred_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        attempts integer NOT NULL CHECK (attempts >= 0),
        state text NOT NULL CHECK (state IN ('unread', 'dead', 'acknowledged', 'refused')),
        next_attempt_at timestamptz,
        last_attempt_at timestamptz,
        last_result text CHECK (length(last_result) <= 100),
        ended_at timestamptz,
        ended_by text CHECK (ended_by IN ('push', 'poll')),
        error text CHECK (length(error) <= 40),
        error_description text CHECK (length(error_description) <= 256),
        UNIQUE (client_id, event_id, resource),
        CHECK (state = 'unread' OR next_attempt_at IS NULL),
        CHECK ((state IN ('acknowledged', 'refused')) = (ended_at IS NOT NULL)),
        CHECK ((ended_at IS NULL) = (ended_by IS NULL))
    )
    """,
    """
    CREATE INDEX event_notifications_unread ON event_notifications (client_id, sequence)
        WHERE state IN ('unread', 'dead')
    """,
    """
    CREATE INDEX event_notifications_to_push ON event_notifications (client_id, resource, sequence)
        WHERE next_attempt_at IS NOT NULL
    """,
    """
    CREATE INDEX event_notifications_due ON event_notifications (client_id, next_attempt_at, sequence)
        WHERE next_attempt_at IS NOT NULL
    """,
    "CREATE INDEX event_notifications_by_age ON event_notifications (created_at)",
)

_GRANTS = {
    "event_subscriptions": "SELECT, INSERT, DELETE, "
    "UPDATE (callback_url, version, event_types, paused_because, taken_at, updated_at)",
    "event_notifications": "SELECT, INSERT, DELETE, UPDATE (attempts, state, next_attempt_at, last_attempt_at, "
    "last_result, ended_at, ended_by, error, error_description)",
}
