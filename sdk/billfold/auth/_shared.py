"""Something that one call fetches for all who wait for it, without input or output."""

from typing import Any, Final, Generic, TypeVar

import msgspec

from billfold import errors

__all__ = ["Shared", "read_keys"]

T = TypeVar("T")

_MAX_KEYS: Final = 64


class Shared(Generic[T]):
    """A value that is fetched again after a while, and what became of the last try.

    As with ``TokenStore``, its user takes a lock around looking, asking and ``keep`` or ``fail``, and ``turn``, read
    before, tells who waited whether the failure meanwhile is its own too.

    Args:
        lives_s: How long a value is good.
    """

    __slots__ = ("_error", "_lives_s", "_value", "asked_at", "turn")

    def __init__(self, lives_s: float) -> None:
        self._lives_s = lives_s
        self._value: T | None = None
        self._error: errors.BillfoldError | None = None
        self.asked_at = float("-inf")
        self.turn = 0

    def current(self, now: float) -> T | None:
        """Return the value while it is good."""
        return self._value if now - self.asked_at < self._lives_s else None

    def failure_since(self, turn: int) -> errors.BillfoldError | None:
        """Return how the request ended that was made since a turn, if it failed."""
        return self._error if self.turn != turn else None

    def keep(self, value: T, now: float) -> T:
        """Store a fresh value and return it."""
        self._value, self._error, self.asked_at = value, None, now
        self.turn += 1
        return value

    def fail(self, error: errors.BillfoldError) -> None:
        """Remember that none was to be had."""
        self._error = error
        self.turn += 1


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


def read_keys(body: bytes) -> tuple[dict[str, Any], ...]:
    """Read an issuer's public keys (RFC 7517, section 5).

    Raises:
        errors.MalformedAnswer: It isn't a set of keys.
    """
    try:
        keys = msgspec.json.decode(body, type=_KeySet).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise errors.MalformedAnswer("what lies there isn't a set of keys") from None
    if len(keys) > _MAX_KEYS:
        raise errors.MalformedAnswer("the set has more keys than any issuer needs")
    return tuple(keys)
