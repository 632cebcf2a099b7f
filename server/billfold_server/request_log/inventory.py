"""What the room keeps: what was asked and answered, of which nothing personal is shown and so nothing kept."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="request_log",
    others=(
        NotPersonal(
            table="request_log",
            because="ids, amounts, times and words of the contract; all else is withheld before it is written",
            columns="id request_id method operation path status code client_id took_ms exchange",
        ),
    ),
)
"""Every column of the room's tables."""
