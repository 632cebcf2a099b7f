"""Connections to PostgreSQL: all logins' under one budget, and each with the tenant that it has served last.

The server's shared login serves every tenant that is isolated by role; a tenant that is isolated by login has
connections of its own. PostgreSQL's ``max_connections`` is one number for all, so they share a budget: whoever needs a
connection when the budget is spent takes the one that has been idle for longest, and waits only when none is idle. One
tenant alone can't use it up.

A connection could serve any tenant of its login in the next transaction, and safely so. But PostgreSQL makes its plans
anew whenever the search path has changed since, and keeps what it knows of every tenant's tables in the memory of each
connection's process: that costs more than the work of a small transaction, and some 3 MB. So a tenant gets the
connection back that it had before, as long as there are enough for all that are busy.
"""

import asyncio
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import asyncpg
import msgspec

from billfold import errors
from billfold_server.db.connections import KnowingConnection

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

__all__ = ["CONNECTIONS", "CONNECTION_LOST", "Lease", "Login", "PoolSettings", "Pools", "Session", "dsn_for"]

CONNECTION_LOST = (
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    OSError,
)
"""What asyncpg raises when there is no (longer a) connection."""


CONNECTIONS = 20
"""How many connections a process may hold where nobody says."""
_CLOSE_TIMEOUT_S = 5.0
_MOST_SHARES = 20
"""For how many tenants one connection is used, one after the other; then it is closed, and its memory with it."""


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections one process may hold, and for how long.

    Attributes:
        budget: Connections of this process altogether.
        per_tenant: Connections that one tenant may use at a time, so that the others get their turn.
        acquire_timeout_s: How long a request waits for a connection before it is told to come back.
        connect_timeout_s: How long opening a connection may take.
        idle_s: After how long an idle connection is closed.
    """

    budget: int = CONNECTIONS
    per_tenant: int = 10
    acquire_timeout_s: float = 5.0
    connect_timeout_s: float = 5.0
    idle_s: float = 120.0


class Login(msgspec.Struct, frozen=True):
    """Who logs in to the database, and for whom.

    Attributes:
        share: Whose share of the budget is used: a tenant's id, or ``platform``.
        user: The login role, or None for the one that the DSN names.
        password: Its password, or None for the DSN's.
    """

    share: str
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        """Show whose login it is, and not its password."""
        return f"Login(share={self.share!r}, user={self.user!r})"


class Session(KnowingConnection):
    """A connection that remembers the names under which it knows statements, in the order in which they came."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.prepared: dict[str, str] = {}


class Lease:
    """A connection on loan. It goes back by ``Pools.release``.

    Attributes:
        connection: The connection, until it is released.
        fresh: Whether it was opened for this loan, and so can't be a leftover of a database that went away.
        login: Whose it is.
    """

    def __init__(
        self,
        connection: "PoolConnectionProxy[asyncpg.Record]",
        login: Login,
        place: "_Place",
        *,
        fresh: bool,
    ) -> None:
        self.connection = connection
        self.fresh = fresh
        self.login = login
        self.place = place

    @property
    def lost(self) -> bool:
        """Tell whether the connection has been closed, by whichever side."""
        try:
            return self.connection.is_closed()
        except asyncpg.InterfaceError:
            # When a connection is closed asyncpg takes it from its borrower, who then can't even ask.
            return True


class Pools:
    """All connections of one process."""

    def __init__(self, dsn: str, settings: PoolSettings | None = None) -> None:
        self._dsn = dsn
        self.settings = settings or PoolSettings()
        # By their last use, the latest at the end.
        self._places: OrderedDict[_Place, None] = OrderedDict()
        self._resting: dict[tuple[str | None, str], list[_Place]] = {}
        self._budget = asyncio.Semaphore(self.settings.budget)
        self._shares: dict[str, asyncio.Semaphore] = {}
        self._waiting: dict[str, int] = {}
        self._closed = False

    async def acquire(self, login: Login) -> Lease:
        """Lend a connection of a login, if possible one that has served the same share last.

        Raises:
            errors.Overloaded: None became free in time.
            errors.DatabaseUnavailable: The database can't be reached.
        """
        if self._closed:
            msg = "the pools are closed"
            raise RuntimeError(msg)
        await self._take_permits(login.share)
        try:
            return await self._connect(login)
        except BaseException as error:
            self._return_permits(login.share)
            # The time-out is that of connecting; waiting for one's turn ended before.
            if isinstance(error, (*CONNECTION_LOST, TimeoutError)):
                raise unavailable() from error
            raise

    async def release(self, lease: Lease) -> None:
        """Take a connection back. It is closed if anything is left open on it."""
        try:
            await lease.place.pool.release(lease.connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError):
            # asyncpg has terminated the connection when its release fails, and that is all that is wanted of it.
            pass
        finally:
            self._rest(lease.place)
            self._return_permits(lease.login.share)

    async def close(self) -> None:
        """Close every connection; those on loan are waited for, but not for long."""
        self._closed = True
        places, self._places, self._resting = list(self._places), OrderedDict(), {}
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await asyncio.gather(*(place.pool.close() for place in places))
        except TimeoutError:
            for place in places:
                place.pool.terminate()

    @property
    def on_loan(self) -> int:
        """Return how many connections are lent at the moment."""
        return sum(place.lent for place in self._places)

    def open_connections(self) -> dict[str | None, int]:
        """Return how many connections are open per login, for metrics and tests; None is the shared login."""
        return dict(Counter(place.user for place in self._places if place.pool.get_size()))

    def forget(self, user: str) -> None:
        """Close the connections of a login that is going away, with whatever runs on them."""
        for place in [place for place in self._places if place.user == user]:
            self._drop(place)

    async def _take_permits(self, share: str) -> None:
        own = self._shares.get(share)
        if own is None:
            own = self._shares[share] = asyncio.Semaphore(self.settings.per_tenant)
        self._waiting[share] = self._waiting.get(share, 0) + 1
        if not own.locked() and not self._budget.locked():
            # Neither waits then, so there is nothing to time.
            await own.acquire()
            await self._budget.acquire()
            return
        taken = False
        try:
            async with asyncio.timeout(self.settings.acquire_timeout_s):
                await own.acquire()
                taken = True
                await self._budget.acquire()
        except BaseException as error:
            if taken:
                own.release()
            self._leave(share)
            if isinstance(error, TimeoutError):
                msg = "no database connection became free in time"
                raise errors.Overloaded(msg, retry_after_s=1) from error
            raise

    def _return_permits(self, share: str) -> None:
        self._budget.release()
        self._shares[share].release()
        self._leave(share)

    def _leave(self, share: str) -> None:
        self._waiting[share] -= 1
        if not self._waiting[share]:
            del self._waiting[share], self._shares[share]

    async def _connect(self, login: Login) -> Lease:
        place = self._find(login)
        place.lent = True
        self._places[place] = None
        self._places.move_to_end(place)
        try:
            # This connects nothing, for the pool's min_size is 0; a pool that is ready returns at once.
            await place.pool
            fresh = not place.pool.get_idle_size()
            connection = await place.pool.acquire()
        except BaseException:
            self._rest(place)
            raise
        return Lease(connection, login, place, fresh=fresh)

    def _find(self, login: Login) -> "_Place":
        """Choose a place for a loan: one that has served the share last, else a new one, else another's."""
        resting = self._resting.get((login.user, login.share), [])
        while resting:
            place = resting.pop()
            if place.is_open:
                return place
            # It was closed for idleness, or by the database.
            self._drop(place)
        for place in [place for place in self._places if not place.lent and not place.is_open]:
            self._drop(place)
        # Those that are lent include those that are only being opened.
        if len(self._places) >= self.settings.budget:
            # Whoever looks here holds a permit and has no connection, so one of the others is idle.
            idle = [place for place in self._places if not place.lent]
            taken = next((place for place in idle if place.user == login.user), idle[0])
            self._take_from_rest(taken)
            if taken.user == login.user and taken.shares < _MOST_SHARES:
                taken.share = login.share
                taken.shares += 1
                return taken
            self._drop(taken)
        return _Place(self._new_pool(login), login)

    def _rest(self, place: "_Place") -> None:
        """Let a place rest after a loan, unless it is gone by now."""
        place.lent = False
        if place not in self._places:
            return
        if not place.is_open:
            self._drop(place)
            return
        self._places.move_to_end(place)
        self._resting.setdefault((place.user, place.share), []).append(place)

    def _drop(self, place: "_Place") -> None:
        """Close a place's connection, if there is one, and forget the place."""
        self._places.pop(place, None)
        self._take_from_rest(place)
        place.pool.terminate()

    def _take_from_rest(self, place: "_Place") -> None:
        resting = self._resting.get((place.user, place.share), [])
        if place in resting:
            resting.remove(place)
        if not resting:
            self._resting.pop((place.user, place.share), None)

    def _new_pool(self, login: Login) -> "asyncpg.Pool[asyncpg.Record]":
        return asyncpg.create_pool(
            self._dsn,
            user=login.user,
            password=login.password,
            min_size=0,
            max_size=1,
            max_inactive_connection_lifetime=self.settings.idle_s,
            timeout=self.settings.connect_timeout_s,
            reset=_already_reset,
            connection_class=Session,
            # What isn't qualified is found in the tenant's schema or not at all. JIT never pays for such queries. Each
            # query sees what is committed by then, whatever the database's administrator likes elsewhere: on that rest
            # all locks, and that who was revoked is refused.
            server_settings={
                "search_path": "",
                "jit": "off",
                "default_transaction_isolation": "read committed",
                "application_name": "billfold",
            },
        )


class _Place:
    """A pool of one connection, so that who borrows can choose which one.

    Attributes:
        share: For whom it was lent last.
        shares: For how many it was lent by now; each leaves its tables in the memory of PostgreSQL's process.
        lent: Whether it is lent, or about to be.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", login: Login) -> None:
        self.pool = pool
        self.user = login.user
        self.share = login.share
        self.shares = 1
        self.lent = False

    @property
    def is_open(self) -> bool:
        """Tell whether it has a connection."""
        return self.pool.get_size() > 0


def unavailable() -> errors.DatabaseUnavailable:
    """Make the error that says that the database is away."""
    return errors.DatabaseUnavailable("the database can't be reached at the moment", retry_after_s=1)


def dsn_for(dsn: str, *, user: str, password: str | None) -> str:
    """Return the DSN with another login in it."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    secret = "" if password is None else f":{quote(password, safe='')}"
    query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key not in {"user", "password"}])
    return urlunsplit((parts.scheme, f"{quote(user, safe='')}{secret}@{host}", parts.path, query, ""))


async def _already_reset(_: object) -> None:
    """Do nothing: the transaction cleans the connection in the same round trip as its COMMIT or ROLLBACK."""
