"""When what an endpoint hasn't taken is sent again."""

import random
from datetime import datetime
from typing import Final

from billfold_server.outbound.answers import Answer, Failure
from billfold_server.outbound.rules import next_attempt_at, read_retry_after
from billfold_server.tenancy.clock import ClockState

__all__ = ["send_again_at"]

# An instance of its own: the module's state is everybody's, and tests that draw by chance must be repeatable.
_CHANCE = random.Random()  # noqa: S311 - It only has to differ.
_STEADY: Final = 0.5
"""What chance is under a test clock, so that each run is like the one before."""


def send_again_at(
    said: Answer | Failure, *, attempt: int, begun_at: datetime, clock: ClockState, real_now: datetime
) -> datetime | None:
    """Return when to try again after a failed attempt, or None where it was the last.

    Args:
        said: What came of the attempt.
        attempt: Which attempt failed; the first is 1.
        begun_at: Since when there is something to deliver.
        clock: The tenant's clock.
        real_now: The real time, of which an endpoint speaks that asks to be left alone.
    """
    return next_attempt_at(
        attempt=attempt,
        begun_at=begun_at,
        now=clock.now,
        jitter=_CHANCE.random() if clock.is_real else _STEADY,
        retry_after=read_retry_after(said.headers.get("retry-after"), real_now) if isinstance(said, Answer) else None,
    )
