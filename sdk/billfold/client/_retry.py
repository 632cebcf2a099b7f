"""When a request is sent again, and after how long. Pure: time and chance are arguments.

The rules keep two promises. Nothing is ever done twice: what is sent again is either a question, or an order that
carries its idempotency key, or something that the server certainly didn't begin with. And a server in trouble is never
met by a storm: waits grow and are spread by full jitter, a wish to be left alone (``Retry-After``) is honoured, the
whole call has a deadline, and all retries of a client draw from one budget which only successes fill again.
"""

import re
import threading
from datetime import UTC, datetime
from typing import Final

import msgspec

from billfold import errors
from billfold.client import _forking as forking
from billfold.client._message import Response

__all__ = ["RetryBudget", "RetryPolicy", "is_worth_repeating", "retry_after_s", "settles"]

_AWAY: Final = 503
_OVERLOADED: Final = frozenset({429, _AWAY})
"""The server said that it didn't begin."""

_TROUBLES: Final = 500
"""From here on a status tells of troubles of whoever answers."""

_BEFORE_LOOKING: Final = frozenset({401, 403, 408, 429})
"""The server didn't get as far as to the idempotency key."""

_SPREAD: Final = 0.2
_SPREAD_S: Final = 5.0
"""By which part of what was asked for, and by how much at most, those who were turned away come back later."""

_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how patiently a request is repeated.

    Attributes:
        max_retries: How often one call is repeated at most.
        base_s: Upper bound of the first wait; it doubles with each further one.
        cap_s: Upper bound of any wait that the server didn't ask for.
        retry_after_cap_s: The longest ``Retry-After`` that is waited for; beyond it the caller gets the error at once.
    """

    max_retries: int = 3
    base_s: float = 0.25
    cap_s: float = 8.0
    retry_after_cap_s: float = 60.0

    def wait_s(self, attempt: int, asked_s: float | None, chance: float) -> float | None:
        """Return how long to wait before the next attempt, or None to give up.

        Args:
            attempt: How many attempts have failed, from 1.
            asked_s: What the server asked for, where it did.
            chance: A random number of [0, 1).
        """
        if attempt > self.max_retries:
            return None
        # The exponent is bounded, because 2.0 ** 1024 is an OverflowError.
        most_s: float = min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 32))
        if asked_s is None:
            return chance * most_s
        # A server that says when it will have done what waits names one moment to all whom it turns away. They shall
        # not all come back at that moment, and the longer they were to wait, the more they are.
        spread_s = max(min(most_s, 1.0), min(asked_s * _SPREAD, _SPREAD_S))
        return asked_s + chance * spread_s if asked_s <= self.retry_after_cap_s else None


class RetryBudget:
    """What all retries of a client draw from, so that their number stays a fraction of its successes.

    A retry costs one; ten successes earn one. First attempts are free, so an empty budget recovers as soon as the
    server does. Safe in threads.

    Args:
        capacity: How many retries may be in store.
    """

    EARNED_BY_SUCCESS: Final = 0.1

    def __init__(self, capacity: float = 20.0) -> None:
        self._capacity = capacity
        self._left = capacity
        self._lock = threading.Lock()
        forking.watch(self)

    def spend(self) -> bool:
        """Take one retry, and tell whether there was one."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def earn(self) -> None:
        """Book a success."""
        # Reading without the lock is enough to see that a full budget stays full, which is nearly always.
        if self._left < self._capacity:
            with self._lock:
                self._left = min(self._capacity, self._left + self.EARNED_BY_SUCCESS)

    def after_fork(self) -> None:
        """Replace the lock, which another thread may have held at that moment."""
        self._lock = threading.Lock()


def is_worth_repeating(error: errors.BillfoldError, *, repeatable: bool) -> bool:
    """Tell whether sending the request again may succeed, and can't do anything twice.

    Args:
        error: How the attempt failed.
        repeatable: Whether the server answers a copy of the request as it answers the first: true of questions and of
            orders with an idempotency key, not of changes and deletions.
    """
    if isinstance(error, errors.MalformedAnswer):
        return False
    if isinstance(error, errors.TransportError):
        return repeatable or not error.sent
    if not isinstance(error, errors.ProblemError):
        return False
    if (isinstance(error, errors.InternalError) or error.status == _TROUBLES) and not error.is_foreign:
        # Whoever breaks over a request breaks over its copy.
        return False
    return repeatable if error.in_doubt else error.status in _OVERLOADED


def settles(error: errors.BillfoldError) -> bool:
    """Tell whether a refusal says of earlier attempts, too, that the order wasn't carried out.

    Who isn't known, may no longer do it or comes too often is refused before the server looks what it has answered
    under the order's key, and a server in trouble doesn't get that far. Whoever is given no token doesn't even ask.
    """
    if not isinstance(error, errors.ProblemError) or error.status is None or error.is_foreign or not error.sent:
        return False
    return error.status not in _BEFORE_LOOKING and error.status < _TROUBLES


def retry_after_s(response: Response, now: datetime) -> float | None:
    """Return how many seconds the server asks to be left alone (RFC 9110, section 10.2.3), or None.

    A date is compared with the server's own clock where the response tells it, because ours may be wrong.
    """
    text = response.headers.get("retry-after")
    if text is None:
        return None
    # Python strips more than HTTP has for white space, and its numbers take less.
    if seconds := _SECONDS.fullmatch(text.strip()):
        return float(seconds.group())
    then, server_now = _http_date(text), _http_date(response.headers.get("date"))
    return None if then is None else max(0.0, (then - (server_now or now)).total_seconds())


def _http_date(text: str | None) -> datetime | None:
    if text is None:
        return None
    # Only an unlucky few need it, and it takes as long to import as half of this package.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
