"""The versions of the contract: dates, the oldest first.

Within a version things are only added. A program keeps the version that was the newest when its API client was
registered, until it asks for another by the header ``Billfold-Version``.
"""

from datetime import date
from typing import Final

__all__ = ["HEADER", "LATEST", "VERSIONS", "pinned"]

HEADER: Final = "Billfold-Version"
VERSIONS: Final = ("2026-11-20",)
LATEST: Final = VERSIONS[-1]


def pinned(registered_on: date) -> str:
    """Return the version of a client that was registered on a day (UTC): the newest of that day, or the first."""
    return max((each for each in VERSIONS if date.fromisoformat(each) <= registered_on), default=VERSIONS[0])
