"""What the tenancy room keeps in a tenant's schema: its clock, and which migrations have run."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="tenancy",
    others=(
        NotPersonal(
            table="tenant_clock",
            because="a clock tells nothing of anybody",
            columns="id offset_us frozen_at advancing_to advancing_freeze driver driver_until",
        ),
        NotPersonal(table="migration", because="which steps the schema has", columns="id name app_name ran_on"),
    ),
)
"""Every column of the room's tables."""
