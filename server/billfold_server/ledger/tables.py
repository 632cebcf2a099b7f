"""The ledger's tables as Piccolo knows them. They are written by the engine's own SQL; these serve to read."""

from piccolo.columns import JSONB, UUID, Array, BigInt, Bytea, Integer, SmallInt, Text, Timestamptz
from piccolo.table import Table

from billfold_server.db.engine import ENGINE

__all__ = ["Accounts", "HoldMovements", "Holds", "JournalEntries", "LedgerHead", "LedgerLinks", "Postings", "Reversals"]


class LedgerHead(Table, tablename="ledger_head", db=ENGINE):
    """Where the tenant's journal ends; whoever locks its one row is the ledger's writer."""

    id = SmallInt(primary_key=True, default=None)
    sequence = BigInt(default=None)
    revision = BigInt(default=None)
    fence = UUID(default=None)
    recorded_at = Timestamptz(default=None)
    effective_high = Timestamptz(default=None)
    link = BigInt(default=None)
    hash = Bytea(default=None)
    skips = Bytea(default=None)


class LedgerLinks(Table, tablename="ledger_links", db=ENGINE):
    """The chain: for each batch, the digests of its records and the chain's after them; never changed once written."""

    number = BigInt(primary_key=True, default=None)
    recorded_at = Timestamptz(default=None)
    leaves = Bytea(default=None)
    hash = Bytea(default=None)


class Accounts(Table, tablename="accounts", db=ENGINE):
    """Accounts with their running balances."""

    id = UUID(primary_key=True, default=None)
    code = Text(null=True, default=None)
    type = Text(default=None)
    normal_side = Text(default=None)
    currency = Text(default=None)
    wallet_id = UUID(null=True, default=None)
    name = Text(null=True, default=None)
    status = Text(default=None)
    overdraft_limit_minor = BigInt(null=True, default=None)
    posted_minor = BigInt(default=None)
    pending_minor = BigInt(default=None)
    held_minor = BigInt(default=None)
    metadata = JSONB(default=None)
    version = BigInt(default=None)
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(default=None)


class JournalEntries(Table, tablename="journal_entries", db=ENGINE):
    """Journal entries, without gaps in ``sequence``; never changed once written."""

    id = UUID(primary_key=True, default=None)
    sequence = BigInt(default=None)
    kind = Text(default=None)
    description = Text(null=True, default=None)
    reverses = UUID(null=True, default=None)
    hold_id = UUID(null=True, default=None)
    effective_at = Timestamptz(default=None)
    effective_high = Timestamptz(default=None)
    recorded_at = Timestamptz(default=None)
    metadata = JSONB(default=None)
    text_salt = Bytea(null=True, default=None)
    text_commitment = Bytea(null=True, default=None)


class Postings(Table, tablename="postings", db=ENGINE):
    """Signed lines on accounts; never changed once written. The primary key is ``(entry_id, line)``."""

    entry_id = UUID(primary_key=True, default=None)
    line = SmallInt(default=None)
    account_id = UUID(default=None)
    amount_minor = BigInt(default=None)
    currency = Text(default=None)
    posted_after_minor = BigInt(default=None)
    effective_at = Timestamptz(default=None)
    late_class = SmallInt(null=True, default=None)


class Holds(Table, tablename="holds", db=ENGINE):
    """Reservations of parts of wallets' balances."""

    id = UUID(primary_key=True, default=None)
    wallet_id = UUID(default=None)
    account_id = UUID(default=None)
    to_wallet_id = UUID(null=True, default=None)
    to_account_id = UUID(null=True, default=None)
    currency = Text(default=None)
    amount_minor = BigInt(default=None)
    captured_minor = BigInt(default=None)
    released_minor = BigInt(default=None)
    status = Text(default=None)
    expires_at = Timestamptz(null=True, default=None)
    description = Text(null=True, default=None)
    metadata = JSONB(default=None)
    steps = Integer(default=None)
    journal_entry_ids = Array(UUID(default=None), default=None)
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(default=None)


class HoldMovements(Table, tablename="hold_movements", db=ENGINE):
    """What each hold has come to reserve, step by step. The primary key is ``(hold_id, step)``."""

    hold_id = UUID(primary_key=True, default=None)
    step = Integer(default=None)
    account_id = UUID(default=None)
    to_account_id = UUID(null=True, default=None)
    delta_minor = BigInt(default=None)
    held_after_minor = BigInt(default=None)
    pending_after_minor = BigInt(null=True, default=None)
    effective_at = Timestamptz(default=None)
    recorded_at = Timestamptz(default=None)


class Reversals(Table, tablename="reversals", db=ENGINE):
    """How much of each journal entry has been undone."""

    journal_entry_id = UUID(primary_key=True, default=None)
    amount_minor = BigInt(default=None)
    reversed_minor = BigInt(default=None)
