"""What the reconciliation room keeps: what banks say of their accounts, and of whom money came from."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="reconciliation",
    personal=(
        # The other side's name and IBAN, references, and what the payer has written.
        PersonalColumn(
            table="statement_entries",
            column="sealed_texts",
            category="account_number",
            owner="counterparty",
            domain="data",
            kept="party",
            told_as="bank_account counterparty_iban counterparty_name references remittance",
        ),
    ),
    others=(
        NotPersonal(
            table="bank_accounts",
            because="the tenant's own accounts at banks",
            columns=(
                "bank_account currency cash_account_id first_statement_key first_opening_date first_closing_date "
                "first_opening_minor first_reached_minor last_statement_key last_opening_date last_closing_date "
                "last_opening_minor last_reached_minor break_minor break_at created_at updated_at"
            ),
        ),
        NotPersonal(
            table="statement_imports", because="formats, ids and times", columns="id format created_at reversed_at"
        ),
        NotPersonal(
            table="statements",
            because="the tenant's own accounts at banks, and sums",
            columns=(
                "id statement_import_id position bank_account statement_key currency cash_account_id opening_date "
                "closing_date opening_minor closing_minor reached_minor entries topped_up withdrawn suspense matched "
                "duplicates not_booked difference_minor cash_before_minor cash_after_minor break_minor verdict "
                "opening_entry_id break_entry_id"
            ),
        ),
        NotPersonal(
            table="withdrawals_shown",
            because="ids and sums",
            columns="withdrawal_id amount_minor out_minor back_minor",
        ),
        NotPersonal(
            table="top_ups_shown", because="ids and sums", columns="top_up_id amount_minor in_minor back_minor"
        ),
        NotPersonal(
            table="statement_entries",
            because="amounts, days, codes and ids; the key by which an entry is known again is a keyed digest",
            columns=(
                "id statement_import_id statement_id position bank_account dedup_key booking_date value_date "
                "amount_minor currency status bank_transaction_code outcome reason matched_by wallet_id account_id "
                "withdrawal_id top_up_id duplicate_of movement_id journal_entry_id assigning_journal_entry_id "
                "effective_at booked_ahead created_at taken_back"
            ),
        ),
    ),
)
"""Every column of the room's tables."""
