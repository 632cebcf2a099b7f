"""A circuit breaker: while Vault is away, requests are told so at once instead of each waiting for it.

One per process and login, used on the event loop alone. After a few failures it is open for a moment; then one call
tries, and while it does all others are still refused: a Vault that hangs is waited for by one request at a time.
"""

import math
import time
from collections.abc import Callable
from typing import Final

from billfold_server.keys.backends.vault.answers import Cause

__all__ = ["Breaker"]

_FAILURES: Final = 3
_PAUSE_S: Final = 1.0


class Breaker:
    """Whether it's worth while to ask Vault.

    Args:
        failures: After how many in a row it opens.
        pause_s: How long it stays open before one call may try.
        clock: A monotonic clock.
    """

    def __init__(
        self, *, failures: int = _FAILURES, pause_s: float = _PAUSE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = failures
        self._pause_s = pause_s
        self._clock = clock
        self._failed = 0
        self._opens_at = 0.0
        self._trying = False
        self.cause: Cause | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for the one that tries."""
        return self._failed >= self._most

    @property
    def retry_after_s(self) -> int:
        """After how many seconds it's worth while to come again, at least one."""
        return max(1, math.ceil(self._opens_at - self._clock()))

    def admits(self) -> bool:
        """Tell whether a call may go ahead; whoever is told so says how it went."""
        if not self.is_open:
            return True
        if self._trying or self._clock() < self._opens_at:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """Note that Vault has answered."""
        self._failed, self._trying, self.cause = 0, False, None

    def failed(self, cause: Cause) -> None:
        """Note that it hasn't, and why."""
        self._failed, self._trying, self.cause = self._failed + 1, False, cause
        self._opens_at = self._clock() + self._pause_s

    def gave_up(self) -> None:
        """Note that nobody waits for the answer any more."""
        self._trying = False
