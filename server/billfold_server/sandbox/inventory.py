"""What the room keeps: what is simulated, on what it was used, and the sandboxes of partners."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="sandbox",
    others=(
        NotPersonal(
            table="simulations",
            because="kinds, codes, counts, times, amounts and ids of what nobody really did",
            columns="id kind facts state times used until at_last created_at ended_at",
        ),
        NotPersonal(
            table="partner_sandboxes",
            because="what partner organisations call their sandboxes, and how far these are",
            columns="id partner_id name state step seeded seed version created_at updated_at",
        ),
        NotPersonal(table="sandbox_seeds", because="a number and times", columns="id seed begun_at done_at"),
        NotPersonal(table="simulation_uses", because="ids", columns="simulation_id subject"),
    ),
)
"""Every column of the room's tables."""
