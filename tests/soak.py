"""How much the tests with chance in them do: what CI has time for, or in ``nox -s soak`` far more."""

import os
from typing import Final

__all__ = ["SOAK", "many"]

SOAK: Final = os.environ.get("BILLFOLD_SOAK") == "1"


def many(in_ci: int, in_soak: int) -> int:
    """Return a number of rounds."""
    return in_soak if SOAK else in_ci
