"""What has been arranged for wallets, and the products that they are of."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0017_arrangements"
VERSION = "1.38.0"
DESCRIPTION = "Arrangements and products"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # What was arranged names other people and their accounts, so it lies sealed as a whole under the owner's key.
    """
    CREATE TABLE arrangements (
        id uuid PRIMARY KEY,
        wallet_id uuid NOT NULL REFERENCES wallets (id),
        kind text NOT NULL
            CHECK (kind IN ('beneficiary', 'direct_debit', 'standing_order', 'scheduled_payment', 'offer')),
        status text NOT NULL CHECK (status IN ('active', 'suspended', 'cancelled', 'expired')),
        sealed_terms bytea NOT NULL,
        version integer NOT NULL CHECK (version >= 1),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX arrangements_of_wallets ON arrangements (wallet_id, kind, id)",
    "CREATE INDEX arrangements_of_kinds ON arrangements (kind, id)",
    """
    CREATE TABLE products (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        type text NOT NULL
            CHECK (type IN ('personal_current_account', 'business_current_account', 'other')),
        description text NOT NULL,
        secondary_id text,
        monthly_fee_cap jsonb,
        interest_rate text,
        notes text[] NOT NULL,
        version integer NOT NULL CHECK (version >= 1),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE wallet_products (
        wallet_id uuid PRIMARY KEY REFERENCES wallets (id),
        product_id uuid NOT NULL REFERENCES products (id),
        since timestamptz NOT NULL
    )
    """,
    "CREATE INDEX wallet_products_of_products ON wallet_products (product_id)",
)

_GRANTS = {
    "arrangements": "SELECT, INSERT, DELETE, UPDATE (status, sealed_terms, version, updated_at)",
    "products": "SELECT, INSERT, UPDATE (name, description, secondary_id, monthly_fee_cap, interest_rate, notes, "
    "version, updated_at)",
    "wallet_products": "SELECT, INSERT, UPDATE (product_id, since), DELETE",
}
