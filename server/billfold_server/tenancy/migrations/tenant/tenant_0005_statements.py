"""Bank statements: how far each bank account has come, imports, their statements, and every entry.

What an entry says of people is sealed in one value.

There are no foreign keys: one import writes up to thousands of rows under the ledger's lock, only the ledger's engine
writes here, and ``invariants/`` looks for what foreign keys would refuse.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0005_statements"
VERSION = "1.38.0"
DESCRIPTION = "Bank accounts, statement imports, statements and statement entries"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    """
    CREATE TABLE bank_accounts (
        bank_account text NOT NULL,
        currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
        cash_account_id uuid NOT NULL UNIQUE,
        first_statement_key text,
        first_opening_date date,
        first_closing_date date,
        first_opening_minor bigint,
        first_reached_minor bigint,
        last_statement_key text,
        last_opening_date date,
        last_closing_date date,
        last_opening_minor bigint,
        last_reached_minor bigint,
        break_minor bigint NOT NULL,
        break_at timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (bank_account, currency),
        CONSTRAINT bank_accounts_ends CHECK (
            num_nulls(
                first_statement_key, first_opening_date, first_closing_date, first_opening_minor, first_reached_minor,
                last_statement_key, last_opening_date, last_closing_date, last_opening_minor, last_reached_minor
            ) IN (0, 10))
    )
    """,
    """
    CREATE TABLE statement_imports (
        id uuid PRIMARY KEY,
        format text NOT NULL CHECK (format IN ('camt.053', 'mt940')),
        created_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE statements (
        id uuid PRIMARY KEY,
        statement_import_id uuid NOT NULL,
        position integer NOT NULL CHECK (position >= 0),
        bank_account text NOT NULL,
        statement_key text NOT NULL,
        currency text NOT NULL,
        cash_account_id uuid NOT NULL,
        opening_date date NOT NULL,
        closing_date date NOT NULL,
        opening_minor bigint,
        closing_minor bigint,
        reached_minor bigint,
        entries integer NOT NULL,
        topped_up integer NOT NULL,
        withdrawn integer NOT NULL,
        suspense integer NOT NULL,
        duplicates integer NOT NULL,
        not_booked integer NOT NULL,
        difference_minor bigint,
        cash_before_minor bigint NOT NULL,
        cash_after_minor bigint NOT NULL,
        break_minor bigint NOT NULL,
        verdict text NOT NULL,
        UNIQUE (statement_import_id, position),
        CONSTRAINT statements_entries CHECK (entries = topped_up + withdrawn + suspense + duplicates + not_booked)
    )
    """,
    "CREATE INDEX statements_key ON statements USING btree (md5(statement_key), id DESC)",
    """
    CREATE TABLE statement_entries (
        id uuid PRIMARY KEY,
        statement_import_id uuid NOT NULL,
        statement_id uuid NOT NULL,
        position integer NOT NULL,
        bank_account text NOT NULL,
        dedup_key bytea NOT NULL,
        booking_date date NOT NULL,
        value_date date,
        amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN -1000000000000000 AND 1000000000000000),
        currency text NOT NULL,
        status text NOT NULL,
        sealed_texts bytea,
        bank_transaction_code text,
        outcome text NOT NULL
            CHECK (outcome IN ('topped_up', 'withdrawn', 'suspense', 'assigned', 'duplicate', 'not_booked')),
        reason text,
        matched_by text,
        wallet_id uuid,
        duplicate_of uuid,
        movement_id uuid,
        journal_entry_id uuid,
        assigning_journal_entry_id uuid,
        effective_at timestamptz,
        booked_ahead boolean NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT statement_entries_duplicate CHECK ((outcome = 'duplicate') = (duplicate_of IS NOT NULL)),
        CONSTRAINT statement_entries_moved CHECK ((outcome IN ('topped_up', 'withdrawn')) = (movement_id IS NOT NULL)),
        CONSTRAINT statement_entries_wallet CHECK (
            outcome NOT IN ('topped_up', 'withdrawn', 'assigned') OR wallet_id IS NOT NULL),
        CONSTRAINT statement_entries_posted CHECK (
            (outcome IN ('duplicate', 'not_booked')) = (journal_entry_id IS NULL)
            AND (journal_entry_id IS NULL) = (effective_at IS NULL)),
        CONSTRAINT statement_entries_assigned CHECK (
            (outcome = 'assigned') = (assigning_journal_entry_id IS NOT NULL))
    )
    """,
    "CREATE UNIQUE INDEX statement_entries_once ON statement_entries (dedup_key) WHERE duplicate_of IS NULL",
    "CREATE INDEX statement_entries_import ON statement_entries (statement_import_id, id DESC)",
    "CREATE INDEX statement_entries_outcome ON statement_entries (outcome, id DESC)",
    "CREATE INDEX statement_entries_texts ON statement_entries (wallet_id) WHERE sealed_texts IS NOT NULL",
)

_GRANTS = {
    "bank_accounts": "SELECT, INSERT, UPDATE",
    "statement_imports": "SELECT, INSERT",
    "statements": "SELECT, INSERT",
    # What the bank said never changes; what became of an entry does, once, when it is assigned. Its texts are sealed
    # under another key then, and go with whom they tell of.
    "statement_entries": (
        "SELECT, INSERT, UPDATE (outcome, matched_by, wallet_id, assigning_journal_entry_id, sealed_texts)"
    ),
}
