"""What the edge keeps: the answers to requests that may be repeated."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="http",
    personal=(
        PersonalColumn(
            table="idempotency_keys",
            column="body",
            category="free_text",
            owner="party",
            plain_because=(
                "answers that tell of people are sealed by keys of the domain data; the others tell of money, with "
                "what was written of it, and go after a few days"
            ),
            kept="idempotent_answers_days",
        ),
    ),
    others=(
        NotPersonal(
            table="idempotency_keys",
            because="a program chooses the key, and of the request there is a keyed digest alone",
            columns="client_id key fingerprint status created_at",
        ),
    ),
)
"""Every column of the room's tables."""
