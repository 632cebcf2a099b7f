"""Why the database layer does nothing for a person who asks what is known of them, or to be forgotten."""

from typing import Final

from billfold_server.db.personal import SubjectProvider

__all__ = ["SUBJECTS"]

SUBJECTS: Final = SubjectProvider(
    room="db",
    nothing_because=("events and jobs hold ids, which say nothing of somebody who was forgotten"),
)
