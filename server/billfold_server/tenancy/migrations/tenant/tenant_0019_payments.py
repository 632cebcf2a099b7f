"""Payments that third parties have ordered: where each stands, what was heard of it, and what its order says.

There are no foreign keys: only the ledger's engine writes here, under the ledger's lock, and ``invariants/`` looks for
what foreign keys would refuse.
"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0019_payments"
VERSION = "1.38.0"
DESCRIPTION = "Payments, what was heard of them, and a further scheme of aliases"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATUSES = "'RCVD', 'PDNG', 'ACTC', 'ACCP', 'ACSP', 'ACWC', 'ACSC', 'ACCC', 'RJCT', 'CANC', 'BLCK'"

_STATEMENTS = (
    f"""
    CREATE TABLE payments (
        id uuid PRIMARY KEY,
        kind text NOT NULL CHECK (kind ~ '^[a-z_]+$'),
        consent_id uuid NOT NULL,
        client_id uuid NOT NULL,
        party_id uuid NOT NULL,
        wallet_id uuid NOT NULL,
        to_wallet_id uuid,
        rail text,
        rail_reference text CHECK (length(rail_reference) <= 200),
        amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 1000000000000000),
        currency text NOT NULL CHECK (currency ~ '^[A-Z]{{3}}$'),
        status text NOT NULL CHECK (status IN ({_STATUSES})),
        reason text CHECK (length(reason) <= 35),
        needs text CHECK (needs IN ('silence', 'contradiction', 'not_returned', 'reversed_by_hand', 'blocked')),
        money text NOT NULL CHECK (money IN ('inside', 'under_way', 'settled', 'returned', 'suspense', 'by_hand')),
        journal_entry_id uuid NOT NULL UNIQUE,
        closing_entry_id uuid,
        steps integer NOT NULL CHECK (steps > 0),
        turn integer NOT NULL CHECK (turn >= 0),
        silences integer NOT NULL CHECK (silences >= 0),
        notices text[] NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT payments_have_a_way CHECK (num_nonnulls(to_wallet_id, rail) = 1),
        CONSTRAINT payments_inside CHECK (
            (money = 'inside') = (to_wallet_id IS NOT NULL) AND (money <> 'inside' OR status = 'ACCC')),
        CONSTRAINT payments_settled CHECK (money <> 'settled' OR status IN ('ACSC', 'ACCC')),
        CONSTRAINT payments_returned CHECK (money <> 'returned' OR status IN ('RJCT', 'CANC')),
        CONSTRAINT payments_in_suspense CHECK (
            money <> 'suspense' OR (status IN ('RJCT', 'CANC', 'BLCK') AND needs IS NOT NULL)),
        CONSTRAINT payments_closed CHECK (
            (money IN ('settled', 'returned', 'suspense')) = (closing_entry_id IS NOT NULL)),
        CONSTRAINT payments_under_way CHECK (
            money <> 'under_way' OR status IN ('ACCP', 'ACSP', 'ACWC') OR needs IS NOT NULL)
    )
    """,
    "CREATE INDEX payments_of_wallets ON payments (wallet_id, id DESC)",
    "CREATE INDEX payments_of_consents ON payments (consent_id, id DESC)",
    "CREATE INDEX payments_of_clients ON payments (client_id, id DESC)",
    "CREATE UNIQUE INDEX payments_returned_by ON payments (closing_entry_id) WHERE money = 'returned'",
    "CREATE INDEX payments_that_wait ON payments (id) WHERE money = 'under_way'",
    "CREATE INDEX payments_that_need ON payments (id DESC) WHERE needs IS NOT NULL",
    # A consent for one payment is used up by it, whatever else goes wrong.
    "CREATE UNIQUE INDEX payments_once ON payments (consent_id) WHERE kind = 'domestic_payment'",
    f"""
    CREATE TABLE payment_steps (
        payment_id uuid NOT NULL,
        number integer NOT NULL CHECK (number > 0),
        notice_id text CHECK (length(notice_id) <= 200),
        word text NOT NULL CHECK (length(word) <= 40),
        effect text NOT NULL CHECK (effect IN ('moves', 'repeats', 'late', 'contradicts', 'nothing')),
        status text NOT NULL CHECK (status IN ({_STATUSES})),
        reason text CHECK (length(reason) <= 35),
        said_at timestamptz,
        recorded_at timestamptz NOT NULL,
        PRIMARY KEY (payment_id, number)
    )
    """,
    "CREATE UNIQUE INDEX payment_steps_once ON payment_steps (payment_id, notice_id) WHERE notice_id IS NOT NULL",
    """
    CREATE TABLE payment_texts (
        payment_id uuid PRIMARY KEY,
        sealed bytea NOT NULL
    )
    """,
    "ALTER TABLE wallet_aliases DROP CONSTRAINT wallet_aliases_scheme_check",
    """
    ALTER TABLE wallet_aliases ADD CONSTRAINT wallet_aliases_scheme_check
        CHECK (scheme IN ('iban', 'reference', 'name', 'sort_code_account_number'))
    """,
)

_GRANTS = {
    # Who has ordered what is settled when it is ordered; only what becomes of it changes.
    "payments": (
        "SELECT, INSERT, UPDATE (rail_reference, status, reason, needs, money, closing_entry_id, steps, turn, "
        "silences, notices, updated_at)"
    ),
    "payment_steps": "SELECT, INSERT",
    "payment_texts": "SELECT, INSERT, DELETE",
}
