"""References that no foreign key holds, because one would cost the ledger's writer: each must lead to a row.

A reference to a journal entry that was detached leads to nothing that is here, and is let be. So are those that outlive
what they lead to: clients and consents, which don't go with an export, and of which consents are forgotten in time.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["DETACHED", "REFERENCES"]

DETACHED: Final = """coalesce(
            (SELECT c.entry_id FROM ledger_checkpoints AS c ORDER BY c.number DESC LIMIT 1),
            '00000000-0000-0000-0000-000000000000'::uuid)"""
"""Journal entries up to this one have been detached; what refers to them refers to nothing that is here."""

# S608 below: the texts are made of the constants of this module.

_PLAIN: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "transfers": (
        "id",
        {"from_wallet_id": "wallets", "to_wallet_id": "wallets", "cash_account_id": "accounts"},
    ),
    "holds": ("id", {"wallet_id": "wallets", "to_wallet_id": "wallets"}),
    "reversals": ("journal_entry_id", {"journal_entry_id": "journal_entries"}),
    "checkpoint_balances": ("account_id", {"account_id": "accounts"}),
    "bank_accounts": ("cash_account_id", {"cash_account_id": "accounts"}),
    "statements": (
        "id",
        {
            "statement_import_id": "statement_imports",
            "cash_account_id": "accounts",
            "opening_entry_id": "journal_entries",
            "break_entry_id": "journal_entries",
        },
    ),
    "statement_entries": (
        "id",
        {
            "statement_import_id": "statement_imports",
            "statement_id": "statements",
            "wallet_id": "wallets",
            "account_id": "accounts",
            "duplicate_of": "statement_entries",
            "assigning_journal_entry_id": "journal_entries",
            # Withdrawals and top-ups have their journal entry's id, and go with its month.
            "withdrawal_id": "journal_entries",
            "top_up_id": "journal_entries",
        },
    ),
    "withdrawals_shown": ("withdrawal_id", {"withdrawal_id": "journal_entries"}),
    "top_ups_shown": ("top_up_id", {"top_up_id": "journal_entries"}),
    "payments": (
        "id",
        {
            "party_id": "parties",
            "wallet_id": "wallets",
            "to_wallet_id": "wallets",
            "journal_entry_id": "journal_entries",
            "closing_entry_id": "journal_entries",
        },
    ),
    "payment_steps": ("payment_id", {"payment_id": "payments"}),
    "payment_returns": (
        "journal_entry_id",
        {"payment_id": "payments", "journal_entry_id": "journal_entries"},
    ),
    "payment_texts": ("payment_id", {"payment_id": "payments"}),
    "account_statements": ("id", {"account_id": "accounts"}),
}
"""Tables with the column that names their rows, and which columns refer to the ``id`` of which table."""


_NOUNS: Final = {
    "accounts": "account",
    "journal_entries": "journal entry",
    "parties": "party",
    "payments": "payment",
    "statement_entries": "statement entry",
    "statement_imports": "statement import",
    "statements": "statement",
    "wallets": "wallet",
}
"""What the rows of these tables are called where one is missing."""


def _missing(table: str, key: str, column: str, target: str) -> str:
    kept = f"AND t.{column} > {DETACHED}" if target == "journal_entries" else ""
    return f"""
        (SELECT t.{key}::text AS object,
            '{column} is {_NOUNS[target]} ' || t.{column}::text || ', which is missing' AS fact
        FROM {table} AS t
        WHERE t.{column} IS NOT NULL {kept}
            AND NOT EXISTS (SELECT FROM {target} AS r WHERE r.id = t.{column})
        ORDER BY t.{key} LIMIT 100)
    """  # noqa: S608


REFERENCES: Final[dict[str, str]] = {
    f"{table}_refer_to_what_is_there": "UNION ALL".join(
        _missing(table, key, column, target) for column, target in columns.items()
    )
    for table, (key, columns) in _PLAIN.items()
} | {
    "holds_name_their_entries": f"""
        SELECT h.id::text AS object, 'its journal entry ' || e.id::text || ' is missing, or another hold''s' AS fact
        FROM holds AS h
        CROSS JOIN LATERAL unnest(h.journal_entry_ids) AS e (id)
        LEFT JOIN journal_entries AS j ON j.id = e.id
        WHERE e.id > {DETACHED} AND j.hold_id IS DISTINCT FROM h.id
        ORDER BY h.id LIMIT 100
    """,  # noqa: S608
    "statement_entries_are_of_their_statements": """
        SELECT e.id::text AS object, 'its statement is of another import, or another bank account' AS fact
        FROM statement_entries AS e JOIN statements AS s ON s.id = e.statement_id
        WHERE e.statement_import_id <> s.statement_import_id OR e.bank_account <> s.bank_account
        ORDER BY e.id LIMIT 100
    """,
    "consents_refer_to_what_is_there": """
        SELECT c.id::text AS object, 'there is no wallet ' || w.id::text AS fact
        FROM consents AS c CROSS JOIN LATERAL unnest(c.wallet_ids) AS w (id)
        WHERE NOT EXISTS (SELECT FROM wallets AS r WHERE r.id = w.id)
        ORDER BY c.id LIMIT 100
    """,
}
"""What must hold of references, by name."""
