"""What the room keeps: organisations, and nothing of people. Their members are users, of whom ``people`` tells."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="partners",
    personal=(),
    others=(
        NotPersonal(
            table="partners",
            because="companies that the bank works with, what they may, and when that has changed",
            columns="id name external_id state client_scopes version created_at updated_at removed_at",
        ),
    ),
)
"""Every column of the room's tables."""
