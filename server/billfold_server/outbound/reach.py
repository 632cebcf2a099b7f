"""Whether anybody answers, while a clock waits for what is due."""

from datetime import datetime
from typing import Final

import msgspec

from billfold_server.outbound.answers import Answer, Failure
from billfold_server.outbound.rules import AT_ONCE

__all__ = ["Reach"]

_SLOW: Final = "timeout"
_NOBODY: Final = frozenset({"unresolved", "unconnected", _SLOW})
"""How attempts fail where nobody answers, whatever is sent."""

_MOVED_S: Final = 10.0
"""How long a run may ask where a clock waits for it that is being moved."""


class Reach:
    """Whether anybody answers at an address, at an instant at which a clock stands that is being moved.

    Thousands may be due at one instant, and the clock waits for all of them. Where nobody is there for the first ones
    nobody is there for the others either, since none of the tenant's time passes in between. So that is noted of them
    without asking; at the next instant, at another address, and after a while at this one, it is asked anew.

    Attributes:
        failure: What comes of asking; None where somebody answers, or that isn't known.
    """

    def __init__(self) -> None:
        self.failure: Failure | None = None
        self._at: datetime | None = None
        self._url: str | None = None
        self._answered = False
        self._silent = 0

    def stand(self, at: datetime | None, url: str) -> None:
        """Take note of whom to ask, and where the clock stands; None where it isn't moved, and time passes."""
        if at is None or (at, url) != (self._at, self._url):
            self.failure, self._at, self._url = None, at, url
            self._answered, self._silent = False, 0

    def is_late(self, took_s: float, most_s: float) -> bool:
        """Tell whether a run has taken so long that others have their turn.

        Args:
            took_s: How long it has.
            most_s: How long it may; less where a clock waits for it, and somebody for the clock, while it asks.
        """
        return took_s > (most_s if self._at is None or self.failure is not None else min(most_s, _MOVED_S))

    def learn(self, said: Answer | Failure) -> None:
        """Take note of what came of asking."""
        if isinstance(said, Answer):
            self.failure, self._answered = None, True
        elif self._at is not None and said.cause in _NOBODY and not self._answered:
            self._silent += said.cause == _SLOW
            # Who says nothing to one may take the next; who says nothing to all that go at once isn't there.
            if said.cause != _SLOW or self._silent >= AT_ONCE:
                self.failure = msgspec.structs.replace(said, took_s=0.0)
