"""What the payments room keeps: what was ordered, what was heard of it, and what orders say of people."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="payments",
    personal=(
        # The payee's name and account, what was written to them, and the order as it came.
        PersonalColumn(
            table="payment_texts",
            column="sealed",
            category="account_number",
            owner="counterparty",
            domain="data",
            kept="party",
            told_as=(
                "creditor creditor_account creditor_name creditor_reference end_to_end_id instruction_id metadata "
                "rail_reference reference"
            ),
        ),
        PersonalColumn(
            table="payments",
            column="party_id",
            category="identifier",
            owner="party",
            plain_because="an id, which says nothing once whose it is was forgotten",
            kept="ledger",
        ),
    ),
    others=(
        NotPersonal(
            table="payments",
            because="amounts, codes, times and ids, which stay exact when a person is forgotten",
            columns=(
                "id kind consent_id client_id wallet_id to_wallet_id rail rail_reference amount_minor currency status "
                "reason needs money journal_entry_id closing_entry_id returned_minor steps turn silences notices "
                "created_at updated_at"
            ),
        ),
        NotPersonal(
            table="payment_steps",
            because="words and codes of rails, times and ids",
            columns="payment_id number notice_id word effect status reason said_at recorded_at",
        ),
        NotPersonal(
            table="payment_returns", because="amounts and ids", columns="journal_entry_id payment_id amount_minor"
        ),
        NotPersonal(table="payment_texts", because="an id", columns="payment_id"),
        NotPersonal(
            table="vrp_periods",
            because="sums and dates under an id of a consent, which says nothing once its customer was forgotten",
            columns=(
                "consent_id period_type period_alignment starts_on currency ends_before limit_minor spent_minor "
                "payments updated_at"
            ),
        ),
    ),
)
"""Every column of the room's tables."""
