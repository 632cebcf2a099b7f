"""What the parties room keeps: the people and companies that own wallets."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="parties",
    personal=(
        # Name, mail address and metadata.
        PersonalColumn(
            table="parties",
            column="sealed_profile",
            category="name",
            owner="party",
            domain="data",
            kept="party",
            told_as="name email metadata q",
        ),
        PersonalColumn(
            table="parties",
            column="search_digests",
            category="name",
            owner="party",
            plain_because="digests of the beginnings of words, by a key that the tenant's own database doesn't hold",
            kept="party",
            index=True,
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
            columns="id kind roles search_version forgotten_at version created_at updated_at",
        ),
    ),
)
"""Every column of the room's tables."""
