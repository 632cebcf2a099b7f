"""Why the edge does nothing for a person who asks what is known of them, or to be forgotten."""

from typing import Final

from billfold_server.db.personal import SubjectProvider

__all__ = ["SUBJECTS"]

SUBJECTS: Final = SubjectProvider(
    room="http",
    nothing_because=(
        "kept answers to copies of requests are sealed, are found by the key of who has asked alone, and are gone "
        "after a few days"
    ),
)
