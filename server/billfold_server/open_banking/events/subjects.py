"""Why the room does nothing for a person who asks what is known of them, or to be forgotten."""

from typing import Final

from billfold_server.db.personal import SubjectProvider

__all__ = ["SUBJECTS"]

SUBJECTS: Final = SubjectProvider(
    room="open_banking.events",
    nothing_because="third parties are told ids, which say nothing of somebody who was forgotten",
)
