"""The ledger: head, accounts, journal entries, postings, holds and reversals.

There are no foreign keys from postings: they cost half of the write, and only the engine writes here. What the runtime
role may not do, nobody can: journal entries, postings and hold movements are never updated or deleted.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0003_ledger"
VERSION = "1.38.0"
DESCRIPTION = "Accounts, journal entries, postings, holds and reversals"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    """
    CREATE TABLE ledger_head (
        id smallint PRIMARY KEY CHECK (id = 1),
        sequence bigint NOT NULL CHECK (sequence >= 0),
        recorded_at timestamptz NOT NULL
    )
    """,
    "INSERT INTO ledger_head (id, sequence, recorded_at) VALUES (1, 0, '2000-01-01T00:00:00Z')",
    """
    CREATE TABLE accounts (
        id uuid PRIMARY KEY,
        code text,
        type text NOT NULL CHECK (type IN ('asset', 'liability', 'equity', 'income', 'expense')),
        normal_side text NOT NULL
            CHECK (normal_side = CASE WHEN type IN ('asset', 'expense') THEN 'debit' ELSE 'credit' END),
        currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
        wallet_id uuid,
        name text,
        status text NOT NULL CHECK (status IN ('active', 'frozen', 'closed')),
        overdraft_limit_minor bigint CHECK (overdraft_limit_minor >= 0),
        posted_minor bigint NOT NULL,
        pending_minor bigint NOT NULL CHECK (pending_minor BETWEEN 0 AND 1000000000000000000),
        held_minor bigint NOT NULL CHECK (held_minor BETWEEN 0 AND 1000000000000000000),
        metadata jsonb NOT NULL,
        version bigint NOT NULL CHECK (version >= 1),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT accounts_owner CHECK ((code IS NULL) <> (wallet_id IS NULL)),
        CONSTRAINT accounts_posted_range CHECK (posted_minor BETWEEN -1000000000000000000 AND 1000000000000000000),
        CONSTRAINT accounts_overdraft CHECK (
            overdraft_limit_minor IS NULL
            OR CASE normal_side WHEN 'debit' THEN posted_minor ELSE -posted_minor END - held_minor
                >= -overdraft_limit_minor)
    ) WITH (fillfactor = 50)
    """,
    "CREATE UNIQUE INDEX accounts_wallet ON accounts (wallet_id, currency) WHERE wallet_id IS NOT NULL",
    "CREATE UNIQUE INDEX accounts_code ON accounts (code, currency) WHERE code IS NOT NULL",
    """
    CREATE TABLE journal_entries (
        sequence bigint PRIMARY KEY CHECK (sequence >= 1),
        id uuid NOT NULL UNIQUE,
        kind text NOT NULL,
        description text,
        reverses uuid,
        hold_id uuid,
        effective_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL,
        metadata jsonb NOT NULL
    )
    """,
    """
    CREATE TABLE postings (
        sequence bigint NOT NULL,
        line smallint NOT NULL CHECK (line >= 0),
        account_id uuid NOT NULL,
        amount_minor bigint NOT NULL
            CHECK (amount_minor BETWEEN -1000000000000000 AND 1000000000000000 AND amount_minor <> 0),
        currency text NOT NULL,
        posted_after_minor bigint NOT NULL,
        effective_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL,
        PRIMARY KEY (sequence, line)
    )
    """,
    "CREATE INDEX postings_account_recorded ON postings (account_id, recorded_at DESC, sequence DESC, line DESC)",
    """
    CREATE INDEX postings_account_effective ON postings (account_id, effective_at DESC)
        INCLUDE (recorded_at, amount_minor)
    """,
    """
    CREATE TABLE holds (
        id uuid PRIMARY KEY,
        wallet_id uuid NOT NULL,
        account_id uuid NOT NULL,
        to_wallet_id uuid,
        to_account_id uuid,
        currency text NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 1000000000000000),
        captured_minor bigint NOT NULL CHECK (captured_minor >= 0),
        released_minor bigint NOT NULL CHECK (released_minor >= 0),
        status text NOT NULL CHECK (status IN ('open', 'captured', 'released', 'expired')),
        expires_at timestamptz,
        description text,
        metadata jsonb NOT NULL,
        steps integer NOT NULL CHECK (steps >= 0),
        journal_entry_ids uuid[] NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT holds_whole CHECK (captured_minor + released_minor <= amount_minor),
        CONSTRAINT holds_open CHECK ((status = 'open') = (captured_minor + released_minor < amount_minor))
    )
    """,
    "CREATE INDEX holds_wallet ON holds (wallet_id, id DESC)",
    """
    CREATE TABLE hold_movements (
        hold_id uuid NOT NULL,
        step integer NOT NULL CHECK (step >= 0),
        account_id uuid NOT NULL,
        to_account_id uuid,
        delta_minor bigint NOT NULL CHECK (delta_minor <> 0),
        effective_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL,
        PRIMARY KEY (hold_id, step)
    )
    """,
    """
    CREATE INDEX hold_movements_account ON hold_movements (account_id, effective_at)
        INCLUDE (recorded_at, delta_minor)
    """,
    """
    CREATE INDEX hold_movements_to_account ON hold_movements (to_account_id, effective_at)
        INCLUDE (recorded_at, delta_minor) WHERE to_account_id IS NOT NULL
    """,
    """
    CREATE TABLE reversals (
        journal_entry_id uuid PRIMARY KEY,
        amount_minor bigint NOT NULL,
        reversed_minor bigint NOT NULL,
        CONSTRAINT reversals_never_more CHECK (reversed_minor BETWEEN 1 AND amount_minor)
    )
    """,
)

_GRANTS = {
    "ledger_head": "SELECT, UPDATE",
    "accounts": "SELECT, INSERT, UPDATE",
    "journal_entries": "SELECT, INSERT",
    "postings": "SELECT, INSERT",
    "holds": "SELECT, INSERT, UPDATE",
    "hold_movements": "SELECT, INSERT",
    "reversals": "SELECT, INSERT, UPDATE",
}
