"""What the audit keeps: who did what, and why."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="audit",
    personal=(
        PersonalColumn(
            table="audit_records",
            column="actor",
            category="identifier",
            owner="user",
            plain_because="an id of a user or client, which says nothing once the user is forgotten",
            kept="audit_days",
        ),
        PersonalColumn(
            table="audit_records",
            column="reason",
            category="free_text",
            owner="staff",
            plain_because="evidence that must be readable without any key; staff is told to name no customer in it",
            kept="audit_days",
        ),
    ),
    others=(
        NotPersonal(
            table="audit_records",
            because="names of fields and wire ids; nothing personal may be a fact, which a test of each room sees",
            columns="id action object_id request_id facts recorded_at link salt",
        ),
        NotPersonal(
            table="audit_links",
            because="hashes of salted records, and their ids; the salt goes with the record",
            columns="number sealed_at leaves record_ids ordered ordered_to hash",
        ),
        NotPersonal(
            table="audit_head",
            because="the newest link",
            columns="id number hash skips sealed_at ordered_to",
        ),
    ),
)
"""Every column of the room's tables."""
