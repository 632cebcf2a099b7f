"""What is deleted by itself: each room says what of its tables may go when, and one job does it for all of them."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from billfold_server.db.personal import Kept

__all__ = ["Sweep"]


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is deleted once it is old enough.

    Attributes:
        name: What it is, for logs.
        kept: For how long: a key of the manifest's ``[retention]``. What ends by itself and is kept for nobody has
            ``minutes``, and goes at once.
        clock: By which clock it ages: the tenant's, or the real one where its times are real.
        work: Deletes a batch in a transaction of the tenant, ``(tx, before, limit)``, and returns how many rows that
            was; fewer than the limit where nothing is left.
        least: How long it is kept at least, whatever the manifest says, for as long others may still need it.
    """

    name: str
    kept: Kept
    clock: Literal["tenant", "real"]
    work: Callable[[Any, datetime, int], Awaitable[int]]
    least: timedelta = timedelta()
