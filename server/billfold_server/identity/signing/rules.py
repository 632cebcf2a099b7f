"""When a key is published, when it signs, and until when it verifies.

A key's life: ``waiting`` (published, so that everybody who keeps the JWKS for a while knows it before it is used), then
``signing``, then ``verifying`` until the last token that it has signed must have ended, then ``ended``. One that is
withdrawn is worth nothing at once. Keys for records go on verifying, because what they have signed is kept for years.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from billfold_server.identity.signing.rows import KeyRow

__all__ = ["LEAD", "OVERLAP", "ROTATE_AFTER", "Standing", "signer", "standing", "successor_due"]

Standing = Literal["waiting", "signing", "verifying", "ended", "withdrawn"]

ROTATE_AFTER: Final = timedelta(days=90)
"""How long a key signs."""

LEAD: Final = timedelta(hours=1)
"""How long a key is published before it signs; several times as long as anybody may keep the JWKS."""

OVERLAP: Final = timedelta(hours=2)
"""How long a key verifies after its successor has begun to sign; longer than any token lives."""


def standing(key: KeyRow, series: Sequence[KeyRow], now: datetime) -> Standing:
    """Return what a key is good for.

    Args:
        key: The key.
        series: All keys of its purpose and algorithm, itself among them.
        now: The real time.
    """
    if key.withdrawn_at is not None:
        return "withdrawn"
    if key.signs_from > now:
        return "waiting"
    later = [each for each in series if each.withdrawn_at is None and each.generation > key.generation]
    begun = [each.signs_from for each in later if each.signs_from <= now]
    if not begun:
        return "signing"
    if key.purpose == "records" or now < min(begun) + OVERLAP:
        return "verifying"
    return "ended"


def signer(series: Sequence[KeyRow], now: datetime) -> KeyRow | None:
    """Return the key of a series that signs now, or None."""
    return next((key for key in series if standing(key, series, now) == "signing"), None)


def successor_due(series: Sequence[KeyRow], now: datetime) -> datetime | None:
    """Return from when on a new key of a series must sign, if it is time to make one; otherwise None.

    Args:
        series: The keys of one purpose and algorithm.
        now: The real time.
    """
    usable = [key for key in series if key.withdrawn_at is None]
    if not usable or signer(series, now) is None:
        # Nobody can know an earlier key; waiting would only mean that nothing is signed meanwhile.
        return now
    newest = max(usable, key=lambda key: key.generation)
    ends = newest.signs_from + ROTATE_AFTER
    return max(ends, now + LEAD) if now >= ends - LEAD else None
