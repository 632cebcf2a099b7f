"""Staying logged in: a token is renewed before it ends, and replaced where it has ended, by one thread for all."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from billfold_server.keys.backends.vault.answers import Forbidden, Refused, Trouble
from billfold_server.keys.backends.vault.link import Link
from billfold_server.keys.backends.vault.logins import Granted, Login

__all__ = ["Session"]

_log = logging.getLogger("billfold.keys.vault")
T = TypeVar("T")

_RENEWED_AFTER: Final = 2 / 3
"""Of its life; what is left is for a Vault that is away for a while."""
_WORTH: Final = 1 / 2
"""A renewal that brings no more than this of what the login brought is near the token's last end: another is due."""
_AGAIN_S: Final = 5.0
"""After how long to try again where a renewal has failed."""
_YOUNG_S: Final = 1.0
"""A token of this age that is refused something is good, and its policies are what is missing."""
_REFUSED_FOR_S: Final = 1.0
"""How long a refused login isn't tried again, so that many who wait for it don't all try."""


class _Held:
    """A token that is good, as far as anybody knows.

    Attributes:
        client: The ``hvac.Client`` that shows it.
        granted: What the login brought.
        since: Since when we have it, on the monotonic clock.
        ends_at: Until when it is good.
        due_at: When to renew it.
    """

    def __init__(self, client: Any, granted: Granted, ttl_s: float) -> None:
        now = time.monotonic()
        self.client = client
        self.granted = granted
        self.since = now
        self.ends_at = now + ttl_s if ttl_s else float("inf")
        self.due_at = now + ttl_s * _RENEWED_AFTER if ttl_s else float("inf")


class Session:
    """Calls Vault as somebody who is logged in. Safe in threads.

    Args:
        link: The way to Vault.
        login: How to log in.
    """

    def __init__(self, link: Link, login: Login) -> None:
        self._link = link
        self._login = login
        self._held: _Held | None = None
        self._lock = threading.Lock()
        self._refused_until = 0.0

    def call(self, work: Callable[[Any], T]) -> T:
        """Return what some work yields that is given an ``hvac.Client``, logged in anew where that is needed.

        Raises:
            Trouble: Vault can't be used, or doesn't let us log in.
            Forbidden: The token is good, and its policies don't allow this.
            Refused: What was asked for is wrong.
        """
        held = self._current()
        try:
            return work(held.client)
        except Forbidden:
            if self._is_good(held):
                raise
        return work(self._replace(held).client)

    def look(self) -> None:
        """See whether Vault is up and unsealed, and lets us in; a standby hands on what it is asked.

        Raises:
            Trouble: It isn't, or doesn't.
        """
        try:
            asked = {"standbyok": "true", "perfstandbyok": "true"}
            self._link.client().adapter.get("/v1/sys/health", params=asked)
        except (Forbidden, Refused):
            raise Trouble("garbage") from None
        self._current()

    def due_in_s(self) -> float | None:
        """Return after how long to call ``keep``; None as long as nobody is logged in, or where it never ends."""
        held = self._held
        if held is None or held.due_at == float("inf"):
            return None
        return max(0.0, held.due_at - time.monotonic())

    def keep(self) -> None:
        """Renew the token, or log in anew where that's no use.

        Raises:
            Trouble: Neither works now. It is due again in some seconds.
        """
        held = self._held
        if held is None:
            return
        held.due_at = time.monotonic() + _AGAIN_S
        if not held.granted.renewable or not self._renew(held):
            self._replace(held)

    def end(self) -> None:
        """Revoke the token, if we have made it; nobody else uses it."""
        held, self._held = self._held, None
        if held is not None and held.granted.own:
            held.client.auth.token.revoke_self()

    def _current(self) -> _Held:
        held = self._held
        if held is not None and time.monotonic() < held.ends_at:
            return held
        return self._replace(held)

    def _replace(self, former: _Held | None) -> _Held:
        """Log in, unless another thread has done so meanwhile."""
        if not self._lock.acquire(timeout=self._link.left_s()):
            raise Trouble("slow")
        try:
            if self._held is not None and self._held is not former:
                return self._held
            if time.monotonic() < self._refused_until:
                raise Trouble("login_refused")
            granted = self._log_in()
            self._held = _Held(self._link.client(granted.token), granted, granted.ttl_s)
            return self._held
        finally:
            self._lock.release()

    def _log_in(self) -> Granted:
        try:
            granted = self._login(self._link)
        except (Forbidden, Refused):
            pass
        else:
            _log.info("logged in to Vault; the token is good for %d s", granted.ttl_s)
            return granted
        self._refused_until = time.monotonic() + _REFUSED_FOR_S
        raise Trouble("login_refused")

    def _is_good(self, held: _Held) -> bool:
        """Tell whether a token that was refused something is good all the same."""
        if self._held is not held:
            return False
        if time.monotonic() - held.since < _YOUNG_S:
            return True
        try:
            held.client.auth.token.lookup_self()
        except (Forbidden, Refused):
            return False
        return True

    def _renew(self, held: _Held) -> bool:
        try:
            answer = held.client.auth.token.renew_self()
            ttl_s = float(answer["auth"]["lease_duration"])
        except (Forbidden, Refused):
            return False
        except Trouble as trouble:
            # Vault takes a token that is about to end for a mistake of its own.
            if trouble.cause != "failing":
                raise
            return False
        except (KeyError, TypeError, ValueError):
            raise Trouble("garbage") from None
        if ttl_s <= held.granted.ttl_s * _WORTH:
            return False
        self._held = _Held(held.client, held.granted, ttl_s)
        return True
