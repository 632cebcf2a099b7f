"""What the arrangements room keeps: what has been arranged for wallets, and products."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="arrangements",
    personal=(
        # Whom somebody pays, and who collects from them, with accounts, amounts and references.
        PersonalColumn(
            table="arrangements",
            column="sealed_terms",
            category="account_number",
            owner="party",
            domain="data",
            kept="party",
            told_as="beneficiary direct_debit offer scheduled_payment standing_order",
        ),
    ),
    others=(
        NotPersonal(
            table="arrangements",
            because="ids, the kind, the state and times",
            columns="id wallet_id kind status version created_at updated_at",
        ),
        NotPersonal(
            table="products",
            because="what the bank offers everybody",
            columns=(
                "id name type description secondary_id monthly_fee_cap interest_rate notes version created_at "
                "updated_at"
            ),
        ),
        NotPersonal(table="wallet_products", because="ids and a time", columns="wallet_id product_id since"),
    ),
)
"""Every column of the room's tables."""
