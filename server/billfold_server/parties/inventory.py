"""What the parties room keeps: the people and companies that own wallets."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="parties",
    personal=(
        PersonalColumn(
            table="parties",
            column="name",
            category="name",
            owner="party",
            plain_because="it is not sealed yet",
            kept="party",
        ),
        PersonalColumn(
            table="parties",
            column="email",
            category="contact",
            owner="party",
            plain_because="it is not sealed yet",
            kept="party",
        ),
        PersonalColumn(
            table="parties",
            column="metadata",
            category="free_text",
            owner="party",
            plain_because="it is not sealed yet",
            kept="party",
        ),
        PersonalColumn(
            table="parties",
            column="search_terms",
            category="name",
            owner="party",
            plain_because="it is not sealed yet",
            kept="party",
        ),
        PersonalColumn(
            table="parties",
            column="external_id",
            category="identifier",
            owner="party",
            plain_because=(
                "the caller's own id, by which it finds the party and which must be unique; it is blanked when the "
                "party is forgotten"
            ),
            kept="party",
        ),
    ),
    others=(
        NotPersonal(
            table="parties",
            because="kind, roles and times, which stay as a tombstone",
            columns="id kind roles version created_at updated_at",
        ),
    ),
)
"""Every column of the room's tables."""
