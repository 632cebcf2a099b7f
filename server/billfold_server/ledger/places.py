"""Where in the journal a time is, as SQL.

Entries are in the order in which they were recorded, and ``effective_high`` only rises. So a time has a place: after
the last entry up to which nothing took effect at or after it. What took effect since stands behind that place; what
took effect before stands there, too, or is late.

One entry in 64 stands in the index by time, for that is where the others are near: the place is among the 64 that begin
with the last of them. Entries are numbered without gaps, and the first that is kept is less than 64 before the first
that is in the index.
"""

from typing import Final

__all__ = ["LAST_BEFORE", "LAST_BY", "NOTHING", "last_by"]

NOTHING: Final = "'00000000-0000-0000-0000-000000000000'::uuid"
_LAST: Final = f"""(
    SELECT near.id
    FROM (
        SELECT n.id, n.effective_high FROM journal_entries AS n
        WHERE n.id >= coalesce((
            SELECT m.id FROM journal_entries AS m
            WHERE m.sequence % 64 = 0 AND m.effective_high {{compared}}
            ORDER BY m.effective_high DESC, m.id DESC LIMIT 1), {NOTHING})
        ORDER BY n.id LIMIT 64) AS near
    WHERE near.effective_high {{compared}} ORDER BY near.id DESC LIMIT 1)"""  # noqa: S608 - constants


def last_by(instant: str) -> str:
    """Return SQL for the last entry up to which nothing took effect after an instant, which is SQL; null if none."""
    return _LAST.format(compared=f"<= {instant}")


LAST_BEFORE: Final = f"coalesce({_LAST.format(compared='< $')}, {NOTHING})"
"""The last entry up to which nothing took effect at or after a time, which stands for both ``$``."""
LAST_BY: Final = f"coalesce({last_by('$')}, {NOTHING})"
"""The last entry up to which nothing took effect after a time, which stands for both ``$``."""
