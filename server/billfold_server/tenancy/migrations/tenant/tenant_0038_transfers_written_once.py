"""What a transfer wrote for the second time, and what cost each batch more than it was good for (ADR 51).

Idempotency keys are copied while requests go on. At the end these wait until what is new is copied, too, and an index
of journal entries is made anew: each means reading a table once, some tenths of a second for a million rows.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0038_transfers_written_once"
VERSION = "1.38.0"
DESCRIPTION = "Events that are told from their objects' rows, narrower indexes, idempotency keys in one table"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_COLUMNS = "client_id, key, fingerprint, status, body, created_at"

COPYING = (
    # Each batch opened eight partitions, each with its index and checks, for a row or two in each. What the checks held
    # is held by what takes a request's header and by the code that writes here; keys are gone after a month.
    """
    CREATE TABLE idempotency_keys_whole (
        client_id uuid NOT NULL,
        key text COLLATE "C" NOT NULL,
        fingerprint bytea NOT NULL,
        status smallint,
        body bytea,
        created_at timestamptz NOT NULL
    )
    """,
    # They are copied while requests go on, and what these have written meanwhile once more, when they have to wait.
    """
    SELECT set_config(
        'billfold.copied', (pg_snapshot_xmin(pg_current_snapshot())::text::bigint % 4294967296)::text, true)
    """,
    f"INSERT INTO idempotency_keys_whole ({_COLUMNS}) SELECT {_COLUMNS} FROM idempotency_keys",  # noqa: S608 - constants
    "ALTER TABLE idempotency_keys_whole ADD CONSTRAINT idempotency_keys_whole_pkey PRIMARY KEY (client_id, key)",
    """
    CREATE INDEX idempotency_keys_whole_created_at ON idempotency_keys_whole USING brin (created_at)
    WITH (pages_per_range = 32)
    """,
    "LOCK TABLE idempotency_keys IN EXCLUSIVE MODE",
    f"""
    INSERT INTO idempotency_keys_whole ({_COLUMNS})
    SELECT {_COLUMNS} FROM idempotency_keys AS k
    WHERE age(k.xmin) <= age(current_setting('billfold.copied')::xid)
    ON CONFLICT (client_id, key) DO UPDATE SET
        fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body,
        created_at = excluded.created_at
    """,  # noqa: S608 - constants
    "DROP TABLE idempotency_keys",
    "ALTER TABLE idempotency_keys_whole RENAME TO idempotency_keys",
    "ALTER INDEX idempotency_keys_whole_pkey RENAME TO idempotency_keys_pkey",
    "ALTER INDEX idempotency_keys_whole_created_at RENAME TO idempotency_keys_created_at",
)

_STATEMENTS = (
    *COPYING,
    # Without data an event is told from its object's own row.
    "ALTER TABLE outbox_events ALTER COLUMN data DROP NOT NULL",
    # As ``ledger.queries`` asks: what stands in transfers, too, is found there by its kind.
    "DROP INDEX journal_entries_kind",
    """
    CREATE INDEX journal_entries_kind ON journal_entries (kind, id DESC)
    WHERE kind <> ALL ('{transfer,top_up,withdrawal}'::text[])
    """,
)

_GRANTS = {"idempotency_keys": "SELECT, INSERT, UPDATE, DELETE"}
