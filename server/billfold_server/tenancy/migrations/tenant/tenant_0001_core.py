"""What every room uses: clock, outbox, audit, jobs and idempotency."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0001_core"
VERSION = "1.38.0"
DESCRIPTION = "Clock, outbox and relay, audit, jobs and schedules, idempotency"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_CLOCK = (
    # A running clock is at a fixed distance from the real one. A clock that is being moved stands.
    """
    CREATE TABLE tenant_clock (
        id smallint PRIMARY KEY CHECK (id = 1),
        offset_us bigint NOT NULL,
        frozen_at timestamptz,
        advancing_to timestamptz,
        advancing_freeze boolean,
        driver uuid,
        driver_until timestamptz,
        CHECK ((advancing_to IS NULL) = (advancing_freeze IS NULL)),
        CHECK ((driver IS NULL) = (driver_until IS NULL)),
        CHECK (advancing_to IS NULL OR frozen_at IS NOT NULL),
        CHECK (advancing_to IS NULL OR frozen_at <= advancing_to)
    )
    """,
    "INSERT INTO tenant_clock (id, offset_us) VALUES (1, 0)",
)

_OUTBOX = (
    # The sequence is given by the transaction that writes the event, which holds the relay's head until it has
    # committed, so numbers become visible in order and without gaps.
    """
    CREATE TABLE outbox_events (
        sequence bigint PRIMARY KEY CHECK (sequence > 0),
        id uuid NOT NULL,
        type text NOT NULL CHECK (length(type) BETWEEN 1 AND 100),
        object_id text NOT NULL CHECK (length(object_id) BETWEEN 1 AND 100),
        data json NOT NULL,
        occurred_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX outbox_events_type ON outbox_events (type, sequence)",
    """
    CREATE TABLE relay_head (
        id smallint PRIMARY KEY CHECK (id = 1),
        sequence bigint NOT NULL CHECK (sequence >= 0)
    )
    """,
    "INSERT INTO relay_head (id, sequence) VALUES (1, 0)",
    """
    CREATE TABLE publisher_cursors (
        publisher text PRIMARY KEY CHECK (length(publisher) BETWEEN 1 AND 100),
        sequence bigint NOT NULL CHECK (sequence >= 0),
        failures integer NOT NULL CHECK (failures >= 0),
        retry_at timestamptz,
        claimed_by uuid,
        claimed_until timestamptz,
        CHECK ((claimed_by IS NULL) = (claimed_until IS NULL))
    )
    """,
)

_AUDIT = (
    """
    CREATE TABLE audit_records (
        id uuid PRIMARY KEY,
        actor text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
        action text NOT NULL CHECK (length(action) BETWEEN 1 AND 100),
        object_id text NOT NULL CHECK (length(object_id) BETWEEN 1 AND 100),
        reason text CHECK (length(reason) BETWEEN 1 AND 2000),
        request_id text CHECK (length(request_id) BETWEEN 1 AND 200),
        facts jsonb NOT NULL CHECK (jsonb_typeof(facts) = 'object'),
        recorded_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX audit_records_object_id ON audit_records (object_id, id)",
    "CREATE INDEX audit_records_action ON audit_records (action, id)",
    # Whoever serves requests may add and read, and may delete what nobody has to keep any more. So a record of the last
    # year can't be removed by them, whatever a manifest says or a statement of theirs asks for.
    "ALTER TABLE audit_records ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY audit_records_read ON audit_records FOR SELECT USING (true)",
    "CREATE POLICY audit_records_add ON audit_records FOR INSERT WITH CHECK (true)",
    """
    CREATE POLICY audit_records_remove ON audit_records FOR DELETE
        USING (recorded_at < now() - interval '365 days')
    """,
)

_JOBS = (
    """
    CREATE TABLE jobs (
        id uuid PRIMARY KEY,
        kind text NOT NULL CHECK (length(kind) BETWEEN 1 AND 100),
        due_at timestamptz NOT NULL,
        payload json NOT NULL,
        dedup_key text CHECK (length(dedup_key) BETWEEN 1 AND 200),
        status text NOT NULL CHECK (status IN ('waiting', 'dead')),
        attempts integer NOT NULL CHECK (attempts >= 0),
        claimed_by uuid,
        claimed_until timestamptz,
        last_error text,
        died_at timestamptz,
        CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
        CHECK (status = 'waiting' OR claimed_by IS NULL),
        CHECK ((status = 'dead') = (died_at IS NOT NULL))
    )
    """,
    "CREATE INDEX jobs_due ON jobs (due_at, id) WHERE status = 'waiting'",
    "CREATE INDEX jobs_dead ON jobs (id) WHERE status = 'dead'",
    """
    CREATE UNIQUE INDEX jobs_dedup_key ON jobs (kind, dedup_key) WHERE status = 'waiting' AND dedup_key IS NOT NULL
    """,
    """
    CREATE TABLE job_schedules (
        name text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 100),
        kind text NOT NULL CHECK (length(kind) BETWEEN 1 AND 100),
        rule text NOT NULL,
        payload json NOT NULL,
        next_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX job_schedules_next_at ON job_schedules (next_at)",
)

_PARTITIONS = 8

_IDEMPOTENCY = (
    # A row without status belongs to a request that is still in flight; nobody but its own transaction ever sees one.
    """
    CREATE TABLE idempotency_keys (
        client_id uuid NOT NULL,
        key text COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
        fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
        status smallint CHECK (status BETWEEN 200 AND 499),
        body bytea,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (client_id, key),
        CHECK ((status IS NULL) = (body IS NULL))
    ) PARTITION BY HASH (client_id, key)
    """,
    *(
        f"""
        CREATE TABLE idempotency_keys_{remainder} PARTITION OF idempotency_keys
        FOR VALUES WITH (MODULUS {_PARTITIONS}, REMAINDER {remainder})
        """
        for remainder in range(_PARTITIONS)
    ),
    # Keys expire in the order in which they came, so a few bytes for each stretch of pages are enough to find them.
    "CREATE INDEX idempotency_keys_created_at ON idempotency_keys USING brin (created_at) WITH (pages_per_range = 32)",
)

_STATEMENTS = _CLOCK + _OUTBOX + _AUDIT + _JOBS + _IDEMPOTENCY

_GRANTS = {
    "tenant_clock": "SELECT, UPDATE",
    "outbox_events": "SELECT, INSERT, DELETE",
    "relay_head": "SELECT, UPDATE",
    "publisher_cursors": "SELECT, INSERT, UPDATE",
    "audit_records": "SELECT, INSERT, DELETE",
    "jobs": "SELECT, INSERT, UPDATE, DELETE",
    "job_schedules": "SELECT, INSERT, UPDATE, DELETE",
    "idempotency_keys": "SELECT, INSERT, UPDATE, DELETE",
}
