"""What the room keeps: where third parties want to be told, and what they were told."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="open_banking.events",
    personal=(
        PersonalColumn(
            table="event_notifications",
            column="token",
            category="identifier",
            owner="party",
            plain_because="ids of consents and payments, which say nothing once whose they are was forgotten",
            kept="events_days",
        ),
        PersonalColumn(
            table="event_notifications",
            column="error_description",
            category="free_text",
            owner="client",
            plain_because="what a third party's program says of a token that it can't read",
            kept="events_days",
        ),
    ),
    others=(
        NotPersonal(
            table="event_subscriptions",
            because="where programs of third parties are, and of what they are told",
            columns="id client_id callback_url version event_types paused_because taken_at created_at updated_at",
        ),
        NotPersonal(
            table="event_notifications",
            because="ids, states, counts and times",
            columns="id client_id event_id sequence scope resource occurred_at created_at attempts state "
            "next_attempt_at last_attempt_at last_result ended_at ended_by error",
        ),
    ),
)
"""Every column of the room's tables."""
