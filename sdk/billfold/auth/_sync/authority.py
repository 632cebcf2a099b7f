# Generated from billfold/auth/_async/authority.py by tests/sdk/generate_sync.py. Change that one instead.

"""An authorization server as a client knows it."""

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from billfold import errors
from billfold.auth import _jwt as jwt
from billfold.auth import discovery
from billfold.auth._proofs import Nonces, ServerClock
from billfold.auth._shared import Shared, read_keys
from billfold.auth.discovery import AuthorizationServer
from billfold.auth.refusals import DiscoveryFailed
from billfold.client import _forking as forking
from billfold.client._flow import Call, Kit
from billfold.client._message import Response
from billfold.client._sync.backend import Lock, turn

if TYPE_CHECKING:
    from billfold.client._sync.session import Session

__all__ = ["Authority"]

T = TypeVar("T")

_METADATA_S: Final = 3600.0
_KEYS_S: Final = 900.0
_NO_SOONER_S: Final = 10.0
"""How long after one look an unknown key's name leads to no other: whoever sends such names shall not make us ask."""

Keys = tuple[dict[str, Any], ...]


class Authority:
    """An authorization server: what it says about itself, its keys, its nonces and its time.

    What it says is asked for once, by one call for all, and again after an hour; its keys after a quarter of one, or
    when something is signed by a key that isn't among them.

    Args:
        issuer: Its name for itself.
        base: Where it is reached, which is the same but for exceptions.

    Attributes:
        clock: How far its clock is from ours.
        nonces: What its proofs must hold.
    """

    def __init__(self, issuer: str, base: str) -> None:
        self.issuer = issuer
        self.base = base
        self.clock = ServerClock()
        self.nonces = Nonces()
        self._server: Shared[AuthorizationServer] = Shared(_METADATA_S)
        self._keys: Shared[Keys] = Shared(_KEYS_S)
        self._looked_at = float("-inf")
        self._lock = Lock()
        self._keys_lock = Lock()
        forking.watch(self)

    def after_fork(self) -> None:
        """Replace the locks, which may have been held at that moment."""
        self._lock = Lock()
        self._keys_lock = Lock()

    def notice(self, url: str, response: Response, kit: Kit) -> None:
        """Learn from any answer what the next proof must say."""
        self.nonces.learn(url, response)
        self.clock.learn(response, kit.now())

    def now(self, kit: Kit) -> float:
        """Return the server's time, in seconds since 1970."""
        return self.clock.now(kit.now())

    def server(self, session: "Session") -> AuthorizationServer:
        """Return what the authorization server says about itself.

        Raises:
            DiscoveryFailed: It says nothing, or something wrong.
            errors.BillfoldError: It can't be reached.
        """
        known = self._server.current(session.kit.monotonic())
        if known is not None:
            return known
        return self._shared(session, self._server, self._lock, self._discover)

    def verified(self, session: "Session", token: str, *, typ: Sequence[str] = ()) -> dict[str, Any]:
        """Return what a token says that the authorization server has signed.

        Raises:
            jwt.Rejected: It isn't the server's.
            errors.BillfoldError: The server's keys can't be had.
        """
        return self.checked(session, lambda keys: jwt.verified(token, keys, typ=typ))

    def checked(self, session: "Session", check: Callable[[Keys], T]) -> T:
        """Return what a check by the server's keys finds; it is made again where it names a key that isn't known yet.

        Raises:
            jwt.Rejected: By the check.
            errors.BillfoldError: The server's keys can't be had.
        """
        keys = self._keys.current(session.kit.monotonic())
        if keys is None:
            keys = self._shared(session, self._keys, self._keys_lock, self._fetch_keys)
        try:
            return check(keys)
        except jwt.Rejected as rejection:
            if not rejection.unknown_key:
                raise
        return check(self._newer_keys(session, keys))

    def _newer_keys(self, session: "Session", present: Keys) -> Keys:
        """Return the keys after another look, unless one was taken just now."""
        with turn(self._keys_lock, session.timeouts.total_s):
            now = session.kit.monotonic()
            known = self._keys.current(now)
            looked_at = max(self._keys.asked_at, self._looked_at)
            if known is not None and (known is not present or now - looked_at < _NO_SOONER_S):
                return known
            self._looked_at = now
            return self._keys.keep(self._fetch_keys(session), now)

    def _shared(
        self,
        session: "Session",
        shared: Shared[T],
        lock: Lock,
        fetch: Callable[["Session"], Any],
    ) -> T:
        before = shared.turn
        with turn(lock, session.timeouts.total_s):
            known = shared.current(session.kit.monotonic())
            if known is not None:
                return known
            error = shared.failure_since(before)
            if error is not None:
                # A copy, because each waiter adds its own traceback.
                raise copy.copy(error)
            asked_at = session.kit.monotonic()
            try:
                value: T = fetch(session)
                return shared.keep(value, asked_at)
            except errors.BillfoldError as failure:
                shared.fail(failure)
                raise

    def _discover(self, session: "Session") -> AuthorizationServer:
        for url in discovery.locations(self.base):
            try:
                server: AuthorizationServer = self._get(session, url, self._read_server)
            except errors.NotFound:
                continue
            return server
        raise DiscoveryFailed("the authorization server says nothing about itself")

    def _read_server(self, body: bytes) -> AuthorizationServer:
        return discovery.read(body, self.issuer)

    def _fetch_keys(self, session: "Session") -> Keys:
        url = (self.server(session)).endpoint("jwks_uri", mtls=False)
        keys: Keys = self._get(session, url, read_keys)
        return keys

    def _get(self, session: "Session", url: str, read: Callable[[bytes], Any]) -> Any:
        call = Call(
            "GET",
            url,
            name=f"GET {urlsplit(url).path}",
            headers={"accept": "application/json", "user-agent": session.headers["user-agent"]},
            read=read,
            timeouts=session.timeouts,
            authorized=False,
        )
        return session.run(call)
