"""Why the approvals room does nothing for a person who asks what is known of them, or to be forgotten."""

from typing import Final

from billfold_server.db.personal import SubjectProvider

__all__ = ["SUBJECTS"]

SUBJECTS: Final = SubjectProvider(
    room="approvals",
    nothing_because=(
        "stored requests are sealed, belong to who has asked and who decides, and are gone after their days"
    ),
)
