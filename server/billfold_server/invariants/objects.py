"""What the invariants are about, so that what breaks one is named as the API names it.

Banks' statements are no object of the API's, which knows their entries: one keeps the id that it has in the table.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["OBJECTS"]

_OF_ITS_OWN: Final = ""
"""Currencies, places, days and bank accounts; and what the query itself says, where that is now this, now that."""

_KINDS: Final[Mapping[str, str]] = {
    "account": """
        balances_equal_postings held_equals_open_holds pending_equals_open_holds overdrafts_keep_within_their_limit
        checkpoint_balances_refer_to_what_is_there bank_accounts_refer_to_what_is_there accounts_are_on_their_terms
        accounts_are_no_older_than_their_wallets
    """,
    "account statement": """
        account_statements_are_of_their_months account_statements_follow_one_another
        account_statements_refer_to_what_is_there account_statements_are_of_their_wallets
    """,
    "consent": """
        recurring_payments_add_up consents_refer_to_what_is_there consents_are_about_their_parties_wallets
    """,
    "hold": """
        holds_equal_their_movements holds_are_as_they_were_placed captures_equal_their_entries movements_have_their_hold
        holds_have_their_accounts holds_refer_to_what_is_there holds_name_their_entries
        holds_are_on_their_wallets_accounts
    """,
    "journal entry": """
        entries_balance postings_have_their_entry reversals_equal_entries reversing_entries_have_their_entry
        captures_have_their_hold entries_of_payments_have_their_payment entries_to_suspense_have_their_payment
        reversals_refer_to_what_is_there returns_have_their_entries payment_returns_refer_to_what_is_there
    """,
    "payment": """
        payments_have_their_entries payments_have_their_steps recurring_payments_count payments_refer_to_what_is_there
        payment_steps_refer_to_what_is_there payment_texts_refer_to_what_is_there payments_are_posted_to_their_wallets
        payments_are_by_their_wallets_parties payments_never_return_more
    """,
    "posting": "running_balances_add_up postings_are_in_their_accounts_currency",
    "statement": """
        statements_add_up statements_are_of_bank_accounts statements_say_where_the_books_stood
        statements_refer_to_what_is_there statements_are_taken_back_whole statements_name_what_they_posted
    """,
    "statement entry": """
        statement_entries_are_posted statement_entries_have_their_movement statement_entries_took_effect_when_booked
        duplicates_equal_their_entries statement_entries_refer_to_what_is_there
        statement_entries_are_of_their_statements assigned_entries_are_posted_to_their_wallets
        entries_show_what_was_ordered imports_are_taken_back_whole copies_are_of_what_stands
    """,
    "transfer": """
        transfers_have_their_entry transfers_refer_to_what_is_there transfers_are_posted_to_their_wallets
        withdrawals_are_shown_once withdrawals_shown_refer_to_what_is_there
        top_ups_are_shown_once top_ups_shown_refer_to_what_is_there
    """,
    "wallet": "wallets_and_their_accounts_agree wallets_are_on_their_terms",
    _OF_ITS_OWN: """
        books_balance journal_has_no_gaps recorded_in_order suspense_equals_unassigned_entries
        bank_accounts_equal_postings chain_ends_at_the_head account_statement_months_follow_one_another
        account_statements_equal_postings bank_accounts_equal_their_statements clearing_equals_payments_under_way
        wallets_are_whose_they_were_opened_for
    """,
}

OBJECTS: Final[Mapping[str, str]] = {name: kind for kind, names in _KINDS.items() for name in names.split()}
"""What the object of each invariant's breaches is."""
