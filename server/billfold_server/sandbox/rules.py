"""Pure decisions about what is simulated, and about what a sandbox begins with."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from billfold import ids

__all__ = ["is_seeded", "seeded_id", "shared_among"]

_SEEDED_AT: Final = datetime(2020, 1, 1, tzinfo=UTC)
_PLACES: Final = 1_000
_RANDOM_BITS: Final = 62


def seeded_id(seed: int, name: str, place: int) -> UUID:
    """Return the id of something that follows from a seed: the same in each sandbox, and after each reset.

    Its time is before anything that is made otherwise, so that it lies before that in every list.

    Args:
        seed: The sandbox's seed.
        name: What it is called among all that follows from the seed.
        place: Where it lies among them, from 0 to 999.
    """
    assert 0 <= place < _PLACES, "lists are in order of these"
    digest = hashlib.sha256(f"billfold sandbox {seed} {name}".encode()).digest()
    first = ids.first_at(_SEEDED_AT + timedelta(milliseconds=place)).int
    return UUID(int=first | (int.from_bytes(digest[:8], "big") >> (64 - _RANDOM_BITS)))


def is_seeded(value: UUID) -> bool:
    """Tell whether an id follows from a seed."""
    return timedelta() <= ids.instant_of(value) - _SEEDED_AT < timedelta(milliseconds=_PLACES)


def shared_among(found: Sequence[tuple[UUID, int, int | None]], made: Sequence[UUID]) -> list[int | None]:
    """Return by which simulation each of some things is met, as its place among these; None is by none.

    What was made before a simulation isn't met by it. So who is met follows from what happened in which order, and not
    from how soon somebody came to look at it.

    Args:
        found: Each simulation's id, how often it was used so far, and how often it may be (None: without a bound), the
            oldest first.
        made: The ids of the things, in order.
    """
    left = [None if times is None else max(0, times - used) for _, used, times in found]
    met: list[int | None] = []
    for thing in made:
        place = next((n for n, each in enumerate(found) if left[n] != 0 and each[0] < thing), None)
        if place is not None and (rest := left[place]) is not None:
            left[place] = rest - 1
        met.append(place)
    return met
