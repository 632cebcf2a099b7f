"""The key store as one process sees it: a database of its own, so that no copy of tenants' data holds a key.

Its few connections are used for short work. Whatever keeps it from answering is ``errors.KeysUnavailable``.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg

from billfold import errors
from billfold_server.db.connections import KnowingConnection
from billfold_server.db.pools import CONNECTION_LOST
from billfold_server.keys import queries, upkeep_queries
from billfold_server.keys.rules import DOMAINS

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

__all__ = ["SCHEMA", "TIMEOUT_S", "KeyStore", "forget", "forget_tenant", "tell", "unavailable"]

SCHEMA: Final = "billfold_keys"
"""In which schema the tables lie, in whatever database."""

TIMEOUT_S: Final = 1.9
"""So that whoever waits for keys is answered within two seconds."""
_CONNECTIONS: Final = 4
_TRIES: Final = 5
_AWAY: Final = (*CONNECTION_LOST, asyncpg.QueryCanceledError, TimeoutError)
_AGAIN: Final = (asyncpg.DeadlockDetectedError, asyncpg.InvalidCachedStatementError)


def unavailable() -> errors.KeysUnavailable:
    """Make the error that says that the key store is away."""
    msg = "the keys are not available at the moment"
    return errors.KeysUnavailable(msg, reason="key_store_unreachable", retry_after_s=1)


class KeyStore:
    """Reads and writes wrapped keys.

    Args:
        dsn: Where the database is, as the server's own login; that may read and write rows, and nothing else.
        timeout_s: How long the database may take for anything, connecting included.

    Attributes:
        timeout_s: For so long whoever wants something of it waits.
    """

    def __init__(self, dsn: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._dsn = dsn
        self.timeout_s = timeout_s
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement by itself, and return its rows.

        Raises:
            errors.KeysUnavailable: The database can't be reached, or takes too long.
        """
        try:
            async with self._connection() as connection:
                return await connection.fetch(sql, *arguments)
        except _AGAIN:
            # Another one's work has been in the way, or a migration has; it isn't any more.
            async with self._connection() as connection:
                return await connection.fetch(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> None:
        """Run one statement by itself. Errors are those of ``fetch``."""
        await self.fetch(sql, *arguments)

    @asynccontextmanager
    async def tx(self) -> AsyncIterator["PoolConnectionProxy[asyncpg.Record]"]:
        """Open a transaction. Nothing but statements belongs into it: no network, and no waiting.

        Raises:
            errors.KeysUnavailable: The database can't be reached, or takes too long.
        """
        async with self._connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def long(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Open a connection of its own for what takes longer than requests may wait: backups, vacuum.

        Raises:
            errors.KeysUnavailable: The database can't be reached, or the connection breaks.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                connection = await asyncpg.connect(
                    self._dsn,
                    connection_class=KnowingConnection,
                    server_settings={"search_path": SCHEMA, "application_name": "billfold keys upkeep"},
                )
        except _AWAY as error:
            raise unavailable() from error
        try:
            yield connection
        except _AWAY as error:
            raise unavailable() from error
        finally:
            with contextlib.suppress(*_AWAY, asyncpg.InterfaceError):
                await connection.close(timeout=self.timeout_s)

    async def forget(self, tenant_id: UUID, subjects: Collection[UUID], reason: str) -> None:
        """Destroy every key of some subjects, see that they get no other, and tell every process."""
        chosen = sorted(subjects)
        for tries_left in reversed(range(_TRIES)):
            try:
                async with self.tx() as connection:
                    await forget(connection, tenant_id, chosen, reason)
                    await tell(connection, tenant_id, chosen)
            except asyncpg.UniqueViolationError:
                # Somebody has made a first key in this very moment: a row that is looked for by being current is met by
                # its generation. It is there now, and found by the next attempt.
                if not tries_left:
                    raise
            else:
                return

    async def forget_tenant(self, tenant_id: UUID) -> None:
        """Delete all that is kept of a tenant, and tell every process."""
        async with self.tx() as connection:
            await forget_tenant(connection, tenant_id)
            await tell(connection, tenant_id, [None])

    async def tell(self, tenant_id: UUID, subjects: Sequence[UUID | None] = (None,)) -> None:
        """Let every process drop the keys of some subjects, or (None) of a tenant."""
        async with self.tx() as connection:
            await tell(connection, tenant_id, subjects)

    async def close(self) -> None:
        """Close the connections."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(self.timeout_s):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["PoolConnectionProxy[asyncpg.Record]"]:
        pool, connection = self._ready(), None
        try:
            async with asyncio.timeout(self.timeout_s):
                # Nothing connects here yet, for the pool may be empty; one that is ready returns at once.
                await pool
                connection = await pool.acquire()
                yield connection
        except asyncpg.InterfaceError as error:
            # This is what asyncpg raises of a connection or pool that was closed before, and of our own mistakes.
            if connection is not None and not connection.is_closed():
                raise
            raise unavailable() from error
        except asyncpg.PostgresError as error:
            if not isinstance(error, _AWAY):
                raise
            raise unavailable() from error
        except BaseException as error:
            # What was cancelled or has taken too long may still be under way there; nobody waits for its end.
            if connection is not None:
                connection.terminate()
            if not isinstance(error, _AWAY):
                raise
            raise unavailable() from error
        finally:
            if connection is not None:
                with contextlib.suppress(*_AWAY, asyncpg.InterfaceError):
                    await pool.release(connection)

    def _ready(self) -> "asyncpg.Pool[asyncpg.Record]":
        if self._pool is None:
            self._pool = asyncpg.create_pool(
                self._dsn,
                min_size=0,
                max_size=_CONNECTIONS,
                timeout=self.timeout_s,
                reset=_nothing_to_reset,
                max_inactive_connection_lifetime=300,
                connection_class=KnowingConnection,
                server_settings={"search_path": SCHEMA, "jit": "off", "application_name": "billfold keys"},
            )
        return self._pool


async def forget(connection: Any, tenant_id: UUID, subjects: Sequence[UUID], reason: str) -> None:
    """Destroy every key of some subjects in the transaction that is open; nobody has been told yet."""
    await connection.execute(queries.FORGET_CURRENT, tenant_id, subjects, list(DOMAINS))
    await connection.execute(queries.FORGET_FORMER, tenant_id, subjects)
    await connection.execute(queries.INSERT_FORGOTTEN, tenant_id, subjects, reason)


async def forget_tenant(connection: Any, tenant_id: UUID) -> None:
    """Delete all that is kept of a tenant in the transaction that is open; nobody has been told yet."""
    for domain in DOMAINS:
        # Whoever rotates its keys has written theirs, or finds none of it.
        await connection.execute(upkeep_queries.LOCK_HIERARCHY, str(tenant_id), domain)
    for sql in queries.DELETE_TENANT:
        await connection.execute(sql, tenant_id)


async def tell(connection: Any, tenant_id: UUID, subjects: Sequence[UUID | None]) -> None:
    """Let every process drop the keys of some subjects, or (None) of a tenant, once the transaction has committed."""
    last = await connection.fetchval(queries.NEXT_NUMBERS, len(subjects))
    await connection.execute(queries.INSERT_EVICTIONS, last, len(subjects), tenant_id, subjects)
    await connection.execute(queries.DELETE_OLD_EVICTIONS)


async def _nothing_to_reset(_: object) -> None:
    """Do nothing: no statement of ours changes the session, and looking would cost a round trip each time."""
