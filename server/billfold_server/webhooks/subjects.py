"""Why the room does nothing for a person who asks what is known of them, or to be forgotten."""

from typing import Final

from billfold_server.db.personal import SubjectProvider

__all__ = ["SUBJECTS"]

SUBJECTS: Final = SubjectProvider(
    room="webhooks",
    nothing_because="what is kept is of programs; what they are told of is in the events",
)
"""The room's job: none."""
