"""What the room of account statements keeps: sums of what was booked."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="account_statements",
    others=(
        NotPersonal(
            table="account_statement_months",
            because="parts of the journal, and times",
            columns="starts_at ends_at behind until made_at",
        ),
        NotPersonal(
            table="account_statements",
            because="amounts, times and ids, which stay exact when a person is forgotten; texts are the ledger's",
            columns=(
                "id wallet_id account_id currency starts_at ends_at behind until opening_minor closing_minor "
                "credits_minor debits_minor entries created_at beyond_minor"
            ),
        ),
    ),
)
"""Every column of the room's tables."""
