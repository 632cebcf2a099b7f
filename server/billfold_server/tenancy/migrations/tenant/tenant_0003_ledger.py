"""The ledger: head, chain, accounts, journal entries, postings, holds and reversals.

There are no foreign keys from postings: they cost half of the write, and only the engine writes here. What the runtime
role may not do, nobody can: journal entries, postings, hold movements and links are never updated or deleted.

Journal entries and postings are partitioned by month. An entry's id is made of the instant at which it was recorded, so
it is the key of both, and its order is that of the journal.
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
    # The revision counts batches that changed anything. The fence is a new one after each; whoever remembers rows knows
    # by it whether they still hold, also where the database has gone back to an earlier state.
    """
    CREATE TABLE ledger_head (
        id smallint PRIMARY KEY CHECK (id = 1),
        sequence bigint NOT NULL CHECK (sequence >= 0),
        revision bigint NOT NULL CHECK (revision >= 0),
        fence uuid NOT NULL,
        recorded_at timestamptz NOT NULL,
        effective_high timestamptz NOT NULL,
        link bigint NOT NULL CHECK (link >= 0),
        hash bytea NOT NULL CHECK (length(hash) = 32),
        skips bytea NOT NULL CHECK (length(skips) % 32 = 0)
    ) WITH (fillfactor = 10)
    """,
    """
    INSERT INTO ledger_head (id, sequence, revision, fence, recorded_at, effective_high, link, hash, skips)
    VALUES (1, 0, 0, '00000000-0000-0000-0000-000000000000', '2000-01-01T00:00:00Z',
        '1000-01-01T00:00:00Z', 0, decode(repeat('00', 32), 'hex'), '')
    """,
    # One link for each batch that posted or reserved anything: the digests of its records, and the chain's after them.
    """
    CREATE TABLE ledger_links (
        number bigint PRIMARY KEY CHECK (number >= 1),
        recorded_at timestamptz NOT NULL UNIQUE,
        leaves bytea NOT NULL CHECK (length(leaves) % 32 = 0 AND length(leaves) > 0),
        hash bytea NOT NULL CHECK (length(hash) = 32)
    )
    """,
    "ALTER TABLE ledger_links ALTER COLUMN leaves SET STORAGE EXTERNAL",
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
    # The latest time at which any entry so far took effect goes with each, so a search by time can be one by place.
    """
    CREATE TABLE journal_entries (
        id uuid PRIMARY KEY,
        sequence bigint NOT NULL CHECK (sequence >= 1),
        kind text NOT NULL,
        description text,
        reverses uuid,
        hold_id uuid,
        effective_at timestamptz NOT NULL,
        effective_high timestamptz NOT NULL CHECK (effective_high >= effective_at),
        recorded_at timestamptz NOT NULL,
        metadata jsonb NOT NULL,
        text_salt bytea,
        text_commitment bytea CHECK (length(text_commitment) = 32)
    ) PARTITION BY RANGE (id)
    """,
    "CREATE INDEX journal_entries_effective ON journal_entries (effective_high DESC, id DESC)",
    "CREATE INDEX journal_entries_late ON journal_entries (effective_at DESC) WHERE effective_at < effective_high",
    "CREATE INDEX journal_entries_kind ON journal_entries (kind, id DESC)",
    # Entries that took effect before another that was recorded earlier are late. They are few, and what sums them looks
    # at each power of two of seconds by itself, so it reads no more than twice what it needs.
    """
    CREATE TABLE postings (
        entry_id uuid NOT NULL,
        line smallint NOT NULL CHECK (line >= 0),
        account_id uuid NOT NULL,
        amount_minor bigint NOT NULL
            CHECK (amount_minor BETWEEN -1000000000000000 AND 1000000000000000 AND amount_minor <> 0),
        currency text NOT NULL,
        posted_after_minor bigint NOT NULL,
        effective_at timestamptz NOT NULL,
        late_class smallint CHECK (late_class >= 0),
        PRIMARY KEY (entry_id, line)
    ) PARTITION BY RANGE (entry_id)
    """,
    "CREATE INDEX postings_account ON postings (account_id, entry_id DESC, line DESC)",
    """
    CREATE INDEX postings_late ON postings (account_id, late_class, effective_at)
        INCLUDE (entry_id, amount_minor) WHERE late_class IS NOT NULL
    """,
    "CREATE TABLE journal_entries_rest PARTITION OF journal_entries DEFAULT",
    "CREATE TABLE postings_rest PARTITION OF postings DEFAULT",
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
    "CREATE INDEX holds_to_wallet ON holds (to_wallet_id) WHERE to_wallet_id IS NOT NULL",
    """
    CREATE TABLE hold_movements (
        hold_id uuid NOT NULL,
        step integer NOT NULL CHECK (step >= 0),
        account_id uuid NOT NULL,
        to_account_id uuid,
        delta_minor bigint NOT NULL CHECK (delta_minor <> 0),
        held_after_minor bigint NOT NULL CHECK (held_after_minor >= 0),
        pending_after_minor bigint CHECK (pending_after_minor >= 0),
        effective_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL UNIQUE,
        PRIMARY KEY (hold_id, step),
        CONSTRAINT hold_movements_pending CHECK ((to_account_id IS NULL) = (pending_after_minor IS NULL))
    )
    """,
    "CREATE INDEX hold_movements_effective ON hold_movements (effective_at DESC, recorded_at DESC)",
    "CREATE INDEX hold_movements_account ON hold_movements (account_id, recorded_at DESC)",
    """
    CREATE INDEX hold_movements_to_account ON hold_movements (to_account_id, recorded_at DESC)
        WHERE to_account_id IS NOT NULL
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
    "ledger_links": "SELECT, INSERT",
    "accounts": "SELECT, INSERT, UPDATE",
    # What was booked never changes; its text is erased, with its salt, when somebody whom it tells of is forgotten.
    "journal_entries": "SELECT, INSERT, UPDATE (description, metadata, text_salt)",
    "postings": "SELECT, INSERT",
    "holds": "SELECT, INSERT, UPDATE",
    "hold_movements": "SELECT, INSERT",
    "reversals": "SELECT, INSERT, UPDATE",
}
