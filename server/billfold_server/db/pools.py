"""Connections to PostgreSQL: one pool per login, all of them under one budget.

The server's shared login serves every tenant that is isolated by role; a tenant that is isolated by login has a pool
of its own. PostgreSQL's ``max_connections`` is one number for all, so the pools share a budget: whoever needs a
connection when the budget is spent takes the place of the one that has been idle for longest, and waits only when none
is idle. One tenant alone can't use it up.
"""

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import asyncpg
import msgspec

from billfold import errors

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

__all__ = ["CONNECTION_LOST", "Lease", "Login", "PoolSettings", "Pools", "dsn_for"]

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


_CLOSE_TIMEOUT_S = 5.0


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections one process may hold, and for how long.

    Attributes:
        budget: Connections of this process altogether.
        per_tenant: Connections that one tenant may use at a time, so that the others get their turn.
        acquire_timeout_s: How long a request waits for a connection before it is told to come back.
        connect_timeout_s: How long opening a connection may take.
        idle_s: After how long an idle connection is closed.
    """

    budget: int = 20
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
        entry: "_Entry",
        *,
        fresh: bool,
    ) -> None:
        self.connection = connection
        self.fresh = fresh
        self.login = login
        self.entry = entry

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
        self._pools: OrderedDict[str | None, _Entry] = OrderedDict()
        self._budget = asyncio.Semaphore(self.settings.budget)
        self._shares: dict[str, asyncio.Semaphore] = {}
        self._waiting: dict[str, int] = {}
        self._opening = 0
        self._closed = False

    async def acquire(self, login: Login) -> Lease:
        """Lend a connection of a login.

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
            await lease.entry.pool.release(lease.connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError):
            # asyncpg has terminated the connection when its release fails, and that is all that is wanted of it.
            pass
        finally:
            lease.entry.leases -= 1
            self._return_permits(lease.login.share)

    async def close(self) -> None:
        """Close every connection; those on loan are waited for, but not for long."""
        self._closed = True
        entries, self._pools = list(self._pools.values()), OrderedDict()
        for entry in entries:
            try:
                await asyncio.wait_for(entry.pool.close(), timeout=_CLOSE_TIMEOUT_S)
            except TimeoutError:
                entry.pool.terminate()

    @property
    def on_loan(self) -> int:
        """Return how many connections are lent at the moment."""
        return sum(entry.leases for entry in self._pools.values())

    def open_connections(self) -> dict[str | None, int]:
        """Return how many connections are open per login, for metrics and tests; None is the shared login."""
        return {user: entry.pool.get_size() for user, entry in self._pools.items() if entry.pool.get_size()}

    def forget(self, user: str) -> None:
        """Close the pool of a login that is going away, with whatever runs on it."""
        entry = self._pools.pop(user, None)
        if entry is not None:
            entry.pool.terminate()

    async def _take_permits(self, share: str) -> None:
        own = self._shares.setdefault(share, asyncio.Semaphore(self.settings.per_tenant))
        self._waiting[share] = self._waiting.get(share, 0) + 1
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
        entry = await self._entry(login)
        entry.leases += 1
        fresh = not entry.pool.get_idle_size()
        self._opening += fresh
        try:
            if fresh:
                await self._make_room()
            connection = await entry.pool.acquire()
        except BaseException:
            entry.leases -= 1
            raise
        finally:
            self._opening -= fresh
        return Lease(connection, login, entry, fresh=fresh)

    async def _entry(self, login: Login) -> "_Entry":
        entry = self._pools.get(login.user)
        if entry is None:
            self._drop_empty_pools()
            entry = self._pools[login.user] = _Entry(self._new_pool(login))
        # Whoever was used last is the last to be robbed of its idle connections.
        self._pools.move_to_end(login.user)
        # This connects nothing, for the pool's min_size is 0; a pool that is ready returns at once.
        await entry.pool
        return entry

    def _new_pool(self, login: Login) -> "asyncpg.Pool[asyncpg.Record]":
        return asyncpg.create_pool(
            self._dsn,
            user=login.user,
            password=login.password,
            min_size=0,
            max_size=self.settings.budget,
            max_inactive_connection_lifetime=self.settings.idle_s,
            timeout=self.settings.connect_timeout_s,
            reset=_already_reset,
            # What isn't qualified is found in the tenant's schema or not at all. JIT never pays for such queries.
            server_settings={"search_path": "", "jit": "off", "application_name": "billfold"},
        )

    async def _make_room(self) -> None:
        """While the budget is spent, close an idle connection of the pool that has rested for longest."""
        while sum(entry.pool.get_size() for entry in self._pools.values()) + self._opening > self.settings.budget:
            victim = next((entry.pool for entry in self._pools.values() if entry.pool.get_idle_size()), None)
            if victim is None:
                return
            connection = await victim.acquire()
            connection.terminate()
            await victim.release(connection)

    def _drop_empty_pools(self) -> None:
        """Forget the pools that nobody uses and whose connections have all been closed for idleness."""
        for user, entry in list(self._pools.items()):
            if not entry.leases and not entry.pool.get_size():
                del self._pools[user]
                entry.pool.terminate()


class _Entry:
    """A pool, and how many use it or are about to."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.pool = pool
        self.leases = 0


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
