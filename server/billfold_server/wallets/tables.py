"""The tables of the wallets room as Piccolo knows them. The ledger's engine writes them; these serve to read."""

from piccolo.columns import JSONB, UUID, Array, BigInt, Text, Timestamptz
from piccolo.table import Table

from billfold_server.db.engine import ENGINE

__all__ = ["Transfers", "WalletAliases", "Wallets"]


class Wallets(Table, tablename="wallets", db=ENGINE):
    """Parties' wallets."""

    id = UUID(primary_key=True, default=None)
    party_id = UUID(default=None)
    status = Text(default=None)
    status_reason = Text(null=True, default=None)
    label = Text(null=True, default=None)
    currencies = Array(Text(default=None), default=None)
    metadata = JSONB(default=None)
    version = BigInt(default=None)
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(default=None)


class WalletAliases(Table, tablename="wallet_aliases", db=ENGINE):
    """Other names by which money finds a wallet."""

    id = UUID(primary_key=True, default=None)
    wallet_id = UUID(default=None)
    scheme = Text(default=None)
    value = Text(default=None)
    normal_value = Text(default=None)
    created_at = Timestamptz(default=None)


class Transfers(Table, tablename="transfers", db=ENGINE):
    """Transfers, top-ups and withdrawals; never changed once written."""

    id = UUID(primary_key=True, default=None)
    kind = Text(default=None)
    from_wallet_id = UUID(null=True, default=None)
    to_wallet_id = UUID(null=True, default=None)
    cash_account_id = UUID(null=True, default=None)
    amount_minor = BigInt(default=None)
    currency = Text(default=None)
    from_balance_after_minor = BigInt(null=True, default=None)
    to_balance_after_minor = BigInt(null=True, default=None)
    description = Text(null=True, default=None)
    metadata = JSONB(default=None)
    effective_at = Timestamptz(default=None)
    recorded_at = Timestamptz(default=None)
    actor = Text(default=None)
    request_id = Text(null=True, default=None)
