"""What the room keeps: where programs of the tenant are, what they were sent, and what they said to it."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="webhooks",
    personal=(
        PersonalColumn(
            table="webhook_endpoints",
            column="description",
            category="free_text",
            owner="client",
            plain_because="what developers call a program of theirs; it names no customer",
            kept="tenant",
        ),
        PersonalColumn(
            table="webhook_endpoints",
            column="sealed_keys",
            category="credential",
            owner="client",
            domain="data",
            kept="tenant",
            told_as="secret",
        ),
        # Nobody knows what a program says that is told of something.
        PersonalColumn(
            table="webhook_attempts",
            column="sealed_exchange",
            category="free_text",
            owner="client",
            domain="data",
            kept="events_days",
            told_as="last_attempts",
        ),
    ),
    others=(
        NotPersonal(
            table="webhook_endpoints",
            because="where programs of the tenant are, and of what they are told",
            columns="id url event_types state state_reason public_key former_public_key former_until begins_after "
            "taken_at version created_at updated_at partner_id",
        ),
        NotPersonal(
            table="webhook_deliveries",
            because="ids, states, counts and times",
            columns="id endpoint_id event_id sequence event_type state attempts begun_at next_attempt_at "
            "last_attempt_at last_result created_at copies",
        ),
        NotPersonal(
            table="webhook_attempts",
            because="ids, times and results",
            columns="id delivery_id attempted_at took_ms result",
        ),
    ),
)
"""Every column of the room's tables."""
