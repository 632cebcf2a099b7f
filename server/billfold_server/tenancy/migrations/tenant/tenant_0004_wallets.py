"""Wallets, their aliases, and the record of transfers, top-ups and withdrawals."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0004_wallets"
VERSION = "1.38.0"
DESCRIPTION = "Wallets, aliases, transfers, top-ups and withdrawals"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    """
    CREATE TABLE wallets (
        id uuid PRIMARY KEY,
        party_id uuid NOT NULL REFERENCES parties (id),
        status text NOT NULL CHECK (status IN ('active', 'frozen', 'closed')),
        status_reason text,
        label text,
        currencies text[] NOT NULL,
        metadata jsonb NOT NULL,
        version bigint NOT NULL CHECK (version >= 1),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX wallets_party ON wallets (party_id, id DESC)",
    """
    CREATE TABLE wallet_aliases (
        id uuid PRIMARY KEY,
        wallet_id uuid NOT NULL REFERENCES wallets (id),
        scheme text NOT NULL CHECK (scheme IN ('iban', 'reference', 'name')),
        value text NOT NULL,
        normal_value text NOT NULL,
        created_at timestamptz NOT NULL,
        UNIQUE (scheme, normal_value)
    )
    """,
    "CREATE INDEX wallet_aliases_wallet ON wallet_aliases (wallet_id, id DESC)",
    # A transfer has the id of its journal entry. Who ordered it, and in which request, is its place in the audit trail.
    """
    CREATE TABLE transfers (
        id uuid NOT NULL,
        kind text NOT NULL CHECK (kind IN ('transfer', 'top_up', 'withdrawal')),
        from_wallet_id uuid,
        to_wallet_id uuid,
        cash_account_id uuid,
        amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 1000000000000000),
        currency text NOT NULL,
        from_balance_after_minor bigint,
        to_balance_after_minor bigint,
        description text,
        metadata jsonb NOT NULL,
        effective_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL,
        actor text NOT NULL,
        request_id text,
        PRIMARY KEY (kind, id),
        CONSTRAINT transfers_sides CHECK (
            (from_wallet_id IS NOT NULL) = (kind IN ('transfer', 'withdrawal'))
            AND (to_wallet_id IS NOT NULL) = (kind IN ('transfer', 'top_up'))
            AND (cash_account_id IS NULL) = (kind = 'transfer')
            AND from_wallet_id IS DISTINCT FROM to_wallet_id)
    )
    """,
    "CREATE INDEX transfers_from_wallet ON transfers (from_wallet_id, kind, id DESC) WHERE from_wallet_id IS NOT NULL",
    "CREATE INDEX transfers_to_wallet ON transfers (to_wallet_id, kind, id DESC) WHERE to_wallet_id IS NOT NULL",
)

_GRANTS = {
    "wallets": "SELECT, INSERT, UPDATE",
    "wallet_aliases": "SELECT, INSERT, UPDATE, DELETE",
    # What was moved never changes; what people have written of it is blanked when one of them is forgotten.
    "transfers": "SELECT, INSERT, UPDATE (description, metadata)",
}
