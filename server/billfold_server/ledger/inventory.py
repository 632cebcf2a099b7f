"""What the ledger keeps: its books, in which people occur by ids, and the texts that go with entries."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="ledger",
    personal=(
        PersonalColumn(
            table="accounts",
            column="name",
            category="free_text",
            owner="party",
            plain_because="the chart of accounts is the bank's own, and shown with its books",
            kept="ledger",
        ),
        PersonalColumn(
            table="accounts",
            column="metadata",
            category="free_text",
            owner="party",
            plain_because="the chart of accounts is the bank's own, and shown with its books",
            kept="ledger",
        ),
        PersonalColumn(
            table="journal_entries",
            column="description",
            category="free_text",
            owner="party",
            plain_because=(
                "the books must be readable for as long as the law says; the chain holds a salted commitment, so it "
                "can be erased"
            ),
            kept="ledger",
        ),
        PersonalColumn(
            table="journal_entries",
            column="metadata",
            category="free_text",
            owner="party",
            plain_because=(
                "the books must be readable for as long as the law says; the chain holds a salted commitment, so it "
                "can be erased"
            ),
            kept="ledger",
        ),
        PersonalColumn(
            table="holds",
            column="description",
            category="free_text",
            owner="party",
            plain_because=(
                "the books must be readable for as long as the law says; the chain holds a salted commitment, so it "
                "can be erased"
            ),
            kept="ledger",
        ),
        PersonalColumn(
            table="holds",
            column="metadata",
            category="free_text",
            owner="party",
            plain_because=(
                "the books must be readable for as long as the law says; the chain holds a salted commitment, so it "
                "can be erased"
            ),
            kept="ledger",
        ),
    ),
    others=(
        NotPersonal(
            table="accounts",
            because="an account of the chart or of a wallet, whose owner is known by an id",
            columns=(
                "id code type normal_side currency wallet_id status overdraft_limit_minor posted_minor pending_minor "
                "held_minor version created_at updated_at"
            ),
        ),
        NotPersonal(
            table="journal_entries",
            because="amounts, times and ids, which stay exact when a person is forgotten",
            columns=(
                "id sequence kind reverses hold_id effective_at effective_high recorded_at text_salt text_commitment"
            ),
        ),
        NotPersonal(
            table="postings",
            because="amounts, times and ids, which stay exact when a person is forgotten",
            columns="entry_id line account_id amount_minor currency posted_after_minor effective_at late_class",
        ),
        NotPersonal(
            table="holds",
            because="amounts, times and ids, which stay exact when a person is forgotten",
            columns=(
                "id wallet_id account_id to_wallet_id to_account_id currency amount_minor captured_minor "
                "released_minor status expires_at steps journal_entry_ids created_at updated_at"
            ),
        ),
        NotPersonal(
            table="hold_movements",
            because="amounts, times and ids, which stay exact when a person is forgotten",
            columns=(
                "hold_id step account_id to_account_id delta_minor held_after_minor pending_after_minor effective_at "
                "recorded_at"
            ),
        ),
        NotPersonal(
            table="hold_terms",
            because="amounts, times and ids, which stay exact when a person is forgotten",
            columns=(
                "hold_id wallet_id account_id to_wallet_id to_account_id currency amount_minor expires_at text_salt "
                "text_commitment recorded_at"
            ),
        ),
        NotPersonal(
            table="reversals", because="amounts and ids", columns="journal_entry_id amount_minor reversed_minor"
        ),
        NotPersonal(
            table="ledger_head",
            because="the chain, which holds digests of ids, amounts and times",
            columns="id sequence revision fence recorded_at effective_high link hash skips era",
        ),
        NotPersonal(
            table="ledger_links",
            because="the chain, which holds digests of ids, amounts and times",
            columns="number recorded_at leaves hash",
        ),
        NotPersonal(
            table="ledger_eras", because="from when on which records are in the chain", columns="number recorded_at"
        ),
        NotPersonal(
            table="wallet_terms",
            because="whose a wallet is, by an id that stays when a person is forgotten",
            columns="wallet_id kind party_id status opened_at recorded_at",
        ),
        NotPersonal(
            table="account_terms",
            because="settings of an account, whose owner is known by an id",
            columns=(
                "account_id kind wallet_id code type normal_side currency status overdraft_limit_minor opened_at "
                "recorded_at"
            ),
        ),
        NotPersonal(
            table="ledger_checkpoints",
            because="sums of months that were detached",
            columns="number month entry_id sequence effective_high recorded_at balances_digest archive_digest",
        ),
        NotPersonal(
            table="checkpoint_balances", because="sums of months that were detached", columns="account_id posted_minor"
        ),
    ),
)
"""Every column of the room's tables."""
