"""What the approvals room keeps: requests that wait for a second person."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="approvals",
    personal=(
        PersonalColumn(
            table="approvals",
            column="request",
            category="free_text",
            owner="party",
            domain="data",
            kept="approvals_days",
        ),
        PersonalColumn(
            table="approvals",
            column="outcome",
            category="free_text",
            owner="party",
            domain="data",
            kept="approvals_days",
        ),
        PersonalColumn(
            table="approvals",
            column="made_by",
            category="identifier",
            owner="staff",
            plain_because="an id of a user or client, which says nothing once the user is forgotten",
            kept="approvals_days",
        ),
        PersonalColumn(
            table="approvals",
            column="user_id",
            category="identifier",
            owner="staff",
            plain_because="an id, which says nothing once the user is forgotten",
            kept="approvals_days",
        ),
        PersonalColumn(
            table="approvals",
            column="decided_by",
            category="identifier",
            owner="staff",
            plain_because="an id of a user, which says nothing once the user is forgotten",
            kept="approvals_days",
        ),
        PersonalColumn(
            table="approvals",
            column="decider_id",
            category="identifier",
            owner="staff",
            plain_because="an id, which says nothing once the user is forgotten",
            kept="approvals_days",
        ),
        PersonalColumn(
            table="approvals",
            column="reason",
            category="free_text",
            owner="staff",
            plain_because="evidence of why it was decided so; staff is told to name no customer in it",
            kept="approvals_days",
        ),
    ),
    others=(
        NotPersonal(
            table="approvals",
            because="what kind of request it is, where it stands, ids, a keyed digest and times",
            columns=(
                "id kind client_id idempotency_key fingerprint request_id requested_at expires_at state decided_at "
                "executed_at outcome_status"
            ),
        ),
    ),
)
"""Every column of the room's tables."""
