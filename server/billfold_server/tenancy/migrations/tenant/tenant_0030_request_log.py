"""What programs have asked of a tenant and what they were answered, without anybody's data."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0030_request_log"
VERSION = "1.38.0"
DESCRIPTION = "The log of requests"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # Ids are made of the real time of the answer, so the oldest rows come first along the key. Who stands before the
    # server may give two requests one id, so that isn't unique.
    """
    CREATE TABLE request_log (
        id uuid PRIMARY KEY,
        request_id text NOT NULL CHECK (length(request_id) BETWEEN 8 AND 64),
        method text NOT NULL CHECK (length(method) BETWEEN 1 AND 20),
        operation text CHECK (length(operation) BETWEEN 1 AND 100),
        path text CHECK (length(path) BETWEEN 1 AND 500),
        status smallint NOT NULL,
        code text CHECK (length(code) BETWEEN 1 AND 100),
        client_id uuid,
        took_ms integer NOT NULL CHECK (took_ms >= 0),
        exchange bytea NOT NULL CHECK (length(exchange) <= 65536)
    )
    """,
    "CREATE INDEX request_log_by_request ON request_log (request_id)",
    "CREATE INDEX request_log_of_client ON request_log (client_id, id)",
    "CREATE INDEX request_log_refused ON request_log (id) WHERE status >= 400",
)

_GRANTS = {"request_log": "SELECT, INSERT, DELETE"}
