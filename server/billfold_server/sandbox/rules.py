"""Pure decisions about what is simulated."""

from collections.abc import Sequence

__all__ = ["shared_out"]


def shared_out(found: Sequence[tuple[int, int | None]], most: int) -> list[int]:
    """Return how often each simulation is used where so many uses are wanted, the oldest as often as it may be.

    Args:
        found: How often each was used so far, and how often it may be in all (None: without a bound), the oldest first.
        most: How many uses are wanted.
    """
    shares, left = [], most
    for used, times in found:
        share = left if times is None else min(left, max(0, times - used))
        shares.append(share)
        left -= share
    return shares
