"""What the wallets room keeps: wallets, the names by which money finds them, and what was moved."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="wallets",
    personal=(
        PersonalColumn(
            table="wallets",
            column="label",
            category="free_text",
            owner="party",
            plain_because=(
                "the engine decides on rows as they lie, and asks no key service; it is blanked when the party is "
                "forgotten"
            ),
            kept="party",
        ),
        PersonalColumn(
            table="wallets",
            column="metadata",
            category="free_text",
            owner="party",
            plain_because=(
                "the engine decides on rows as they lie, and asks no key service; it is blanked when the party is "
                "forgotten"
            ),
            kept="party",
        ),
        PersonalColumn(
            table="wallets",
            column="status_reason",
            category="free_text",
            owner="party",
            plain_because=(
                "the engine decides on rows as they lie, and asks no key service; it is blanked when the party is "
                "forgotten"
            ),
            kept="party",
        ),
        PersonalColumn(
            table="wallet_aliases",
            column="value",
            category="account_number",
            owner="party",
            plain_because=(
                "incoming money is matched by it under the lock of the ledger; it is deleted when the party is "
                "forgotten"
            ),
            kept="party",
        ),
        PersonalColumn(
            table="wallet_aliases",
            column="normal_value",
            category="account_number",
            owner="party",
            plain_because=(
                "incoming money is matched by it under the lock of the ledger; it is deleted when the party is "
                "forgotten"
            ),
            kept="party",
        ),
        PersonalColumn(
            table="transfers",
            column="description",
            category="free_text",
            owner="party",
            plain_because=(
                "the books must be readable for as long as the law says; it is blanked when the party is forgotten"
            ),
            kept="ledger",
        ),
        PersonalColumn(
            table="transfers",
            column="actor",
            category="identifier",
            owner="user",
            plain_because="an id of a user or client, which says nothing once the user is forgotten",
            kept="ledger",
        ),
        PersonalColumn(
            table="transfers",
            column="metadata",
            category="free_text",
            owner="party",
            plain_because=(
                "the books must be readable for as long as the law says; it is blanked when the party is forgotten"
            ),
            kept="ledger",
        ),
    ),
    others=(
        NotPersonal(
            table="wallets",
            because="states, currencies, times and ids",
            columns="id party_id status currencies version created_at updated_at",
        ),
        NotPersonal(
            table="wallet_aliases",
            because="what kind of alias it is, ids and times",
            columns="id wallet_id scheme created_at",
        ),
        NotPersonal(
            table="transfers",
            because="amounts, times and ids, which stay exact when a person is forgotten",
            columns=(
                "id kind from_wallet_id to_wallet_id cash_account_id amount_minor currency from_balance_after_minor "
                "to_balance_after_minor effective_at recorded_at request_id"
            ),
        ),
    ),
)
"""Every column of the room's tables."""
