"""What the decryptor's room keeps: the pairs of keys to which cards are encrypted on their way."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="decryptor",
    others=(
        NotPersonal(
            table="encryption_keys",
            because="keys of the tenant's own; private halves are sealed under the domain cards",
            columns="id generation sealed_private created_at not_after",
        ),
    ),
)
