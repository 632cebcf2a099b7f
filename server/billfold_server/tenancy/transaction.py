"""The one door to a tenant's tables.

``Database.tx(tenant)`` begins a transaction in which role and search path are the tenant's, and nobody else's. Both are
set locally, so PostgreSQL itself takes them back when the transaction ends, however it ends. Whoever forgets the door
finds no tables (42P01), and whoever names another tenant's schema may not enter it (42501).

What ``isolation = "role"`` doesn't stop: SQL injected into one tenant's transaction can say ``SET ROLE`` to another
tenant's role, because the shared login may become each of them. With ``isolation = "login"`` the session belongs to the
tenant's own login, which can become no one else.
"""

import asyncio
import contextlib
import functools
import itertools
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Generic, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from billfold import errors
from billfold_server.db.engine import ENGINE, NoTransactionError
from billfold_server.db.pools import CONNECTION_LOST, Lease, Login, Pools, PoolSettings, Session, unavailable
from billfold_server.db.unwritten import CANNOT_WRITE, Unwritten, cannot_write
from billfold_server.db.wakeups import Wakeups, Work
from billfold_server.tenancy import secret
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.rules import PLATFORM_SCHEMA, Deployment, quoted

__all__ = ["Database", "PlatformTx", "TenantTx", "Tx", "find_deployment", "opening"]

T = TypeVar("T")
TxT = TypeVar("TxT", bound="Tx")
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]"

LOCK_TIMEOUT_MS = 2_000
STATEMENT_TIMEOUT_MS = 15_000
# An instance of its own: the module's state is everybody's, and tests that draw by chance must be repeatable.
_CHANCE = random.Random()  # noqa: S311 - It only has to differ.
_END_TIMEOUT_S = 10.0
_NUMBERS = itertools.count(1)
_MOST_PREPARED = 50
"""Of one connection, under names of ours; each plan takes some hundred kilobytes of PostgreSQL's memory."""

# What a session could be left with by SQL that isn't local. RESET ALL leaves the role alone, so that comes first;
# prepared statements stay, for they are the same in every tenant's schema.
_CLEAN = (
    "RESET SESSION AUTHORIZATION; RESET ALL; SELECT pg_catalog.pg_advisory_unlock_all(); "
    "CLOSE ALL; UNLISTEN *; DISCARD TEMP"
)
# In a transaction that has failed COMMIT answers "ROLLBACK" and no error. SHOW raises there, so that a statement whose
# error somebody has swallowed can't pass for a commit.
_COMMIT = f"SHOW transaction_read_only; COMMIT; {_CLEAN}"
_ROLLBACK = f"ROLLBACK; {_CLEAN}"


class Tx:
    """An open transaction. It is made by ``Database`` alone, and is of no use once it has ended."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.open = True
        self.last_sql = ""
        self._known: dict[str, str] = {}
        self._prepared: dict[str, str] = {}

    @property
    def connection(self) -> Connection:
        """The connection on which the transaction runs.

        Raises:
            NoTransactionError: The transaction has ended, so the connection is somebody else's.
        """
        if not self.open:
            msg = "the transaction has ended"
            raise NoTransactionError(msg)
        return self._connection

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Run a query and return its rows."""
        return await self.connection.fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: object) -> asyncpg.Record | None:
        """Run a query and return its first row, or None."""
        return await self.connection.fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: object) -> Any:
        """Run a query and return the first value of its first row, or None."""
        return await self.connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> str:
        """Run a statement and return its command tag, such as ``INSERT 0 1``."""
        return await self.connection.execute(sql, *arguments)

    async def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of arguments."""
        await self.connection.executemany(sql, rows)

    def end_with(self, sql: str) -> None:
        """Let statements without parameters travel in the same round trip as COMMIT, right before it.

        Where one of them fails, nothing is committed, and its error leaves the block as if it had run inside.
        """
        self.last_sql = f"{sql}; "

    def statement(self, sql: str) -> tuple[str, str]:
        """Return the name by which ``EXECUTE`` finds a statement in ``end_with``, and what has to go before it.

        The connection knows a statement for as long as it lives. One that it doesn't know yet is prepared only then,
        for that locks tables, and whoever ends with a statement may want another lock first.
        """
        known = self._known = cast("Session", self.connection).prepared
        if (name := known.get(sql)) is not None:
            return name, ""
        # Whether a statement that failed has left its name behind isn't known, so no name is given twice.
        name = f"billfold_{next(_NUMBERS)}"
        forgotten = f"DEALLOCATE {known.pop(next(iter(known)))}; " if len(known) >= _MOST_PREPARED else ""
        self._prepared[sql] = name
        return name, f"{forgotten}PREPARE {name} AS {sql}; "

    def committed(self) -> None:
        """Note that what was sent together with COMMIT has been carried out."""
        self._known.update(self._prepared)

    def ended(self) -> None:
        """Do what is to be done once the transaction has been committed, or may have been."""

    def meaning(self, _error: BaseException, /) -> errors.BillfoldError | None:
        """Return what a failure means because of whose transaction it was, or None if nothing."""
        return None


class TenantTx(Tx):
    """An open transaction of one tenant."""

    def __init__(self, connection: Connection, tenant: TenantRef, wakeups: Wakeups) -> None:
        super().__init__(connection)
        self.tenant = tenant
        self._wakeups = wakeups
        self._left = Work(0)

    def wake(self, work: Work) -> None:
        """Ask for the background's visit once the transaction has ended."""
        self._left |= work

    def ended(self) -> None:
        """Ask for the visit now. If nothing was committed after all, it finds nothing."""
        if self._left:
            self._wakeups.signal(self.tenant, self._left)

    def meaning(self, error: BaseException, /) -> errors.BillfoldError | None:
        """Return that what a statement names isn't there yet, if the schema is one that still has to be migrated."""
        if not self.tenant.is_behind or not isinstance(error, asyncpg.SyntaxOrAccessError):
            return None
        msg = f"the schema of tenant {self.tenant.slug} is behind this version; an operator has to migrate it"
        return errors.TenantUnreadable(msg, retry_after_s=60)


class PlatformTx(Tx):
    """An open transaction on the platform's own tables, which belong to no tenant."""


class Database:
    """The database as one process sees it.

    Args:
        dsn: Where it is, and the shared login; TLS parameters are libpq's.
        deployment_secret: From this the tenants' own logins derive their passwords. Without it, tenants with
            ``isolation = "login"`` can't be served.
        settings: Size of the pools.

    Attributes:
        unwritten: What couldn't be written.
    """

    def __init__(
        self, dsn: str, *, deployment_secret: bytes | None = None, settings: PoolSettings | None = None
    ) -> None:
        self.pools = Pools(dsn, settings)
        self._secret = deployment_secret
        self._deployment: Deployment | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self.wakeups = Wakeups()
        self.unwritten = Unwritten()

    def tx(
        self,
        tenant: TenantRef,
        *,
        lock_timeout_ms: int = LOCK_TIMEOUT_MS,
        statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
        snapshot: bool = False,
        begin_sql: str = "",
        at_once: bool = False,
    ) -> "_Scope[TenantTx]":
        """Open a transaction of a tenant: ``async with database.tx(tenant) as tx``.

        It commits when the block ends, and rolls back when an error or a cancel leaves it.

        Args:
            tenant: Whose tables are seen.
            lock_timeout_ms: How long a statement waits for a lock.
            statement_timeout_ms: How long a statement may run.
            snapshot: Whether all queries see the database as of one moment; such a transaction only reads.
            begin_sql: SQL without parameters that travels in the same round trip as BEGIN.
            at_once: Whether the whole of it travels in one round trip when the block ends: nothing can be asked in
                the block, and what it does is what it ends with.

        Raises:
            NestedTransactionError: A transaction is open already.
            errors.Overloaded: No connection became free in time.
            errors.Busy: A lock or a statement took too long, or a deadlock was broken.
            errors.DatabaseUnavailable: The connection was lost before anything was committed.
            errors.OutcomeUnknown: The connection was lost during COMMIT.
            errors.TenantUnreadable: The tenant's schema lacks what was asked for, as it is behind this version.
            asyncpg.PostgresError: Whatever else PostgreSQL refuses, with its SQLSTATE.
        """
        begin = opening(tenant.runtime_role, tenant.schema, lock_timeout_ms, statement_timeout_ms, snapshot=snapshot)
        return _Scope(
            self,
            functools.partial(self.acquire, tenant),
            begin + begin_sql,
            lambda connection: TenantTx(connection, tenant, self.wakeups),
            at_once=at_once,
        )

    def platform_tx(
        self,
        *,
        lock_timeout_ms: int = LOCK_TIMEOUT_MS,
        statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
        snapshot: bool = False,
        at_once: bool = False,
    ) -> "_Scope[PlatformTx]":
        """Open a transaction on the platform's own tables. Arguments and errors are those of ``tx``."""
        return _Scope(
            self,
            self._acquire_shared,
            functools.partial(self._begin_platform, lock_timeout_ms, statement_timeout_ms, snapshot=snapshot),
            PlatformTx,
            at_once=at_once,
        )

    def tx_of(
        self,
        tenant: TenantRef | None,
        *,
        statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
        snapshot: bool = False,
        at_once: bool = False,
    ) -> contextlib.AbstractAsyncContextManager[Tx]:
        """Open a transaction of a tenant, or of the platform where there is none; see ``tx``."""
        if tenant is None:
            return self.platform_tx(statement_timeout_ms=statement_timeout_ms, snapshot=snapshot, at_once=at_once)
        return self.tx(tenant, statement_timeout_ms=statement_timeout_ms, snapshot=snapshot, at_once=at_once)

    async def run(
        self, tenant: TenantRef, work: Callable[[TenantTx], Awaitable[T]], *, lock_timeout_ms: int = LOCK_TIMEOUT_MS
    ) -> T:
        """Do work in a transaction of a tenant, and do it once more if it failed for a reason that a second try cures.

        Such reasons are a prepared statement that a migration has made stale (asyncpg can't prepare it again in the
        transaction that has failed), a deadlock and a serialization failure. The work must not have effects elsewhere.

        Raises:
            asyncpg.InvalidCachedStatementError: Also the second time.
            errors.BillfoldError: As ``tx``.
        """
        try:
            async with self.tx(tenant, lock_timeout_ms=lock_timeout_ms) as tx:
                return await work(tx)
        except asyncpg.InvalidCachedStatementError:
            pass
        except errors.Busy as error:
            if not isinstance(error.__cause__, _CURABLE):
                raise
            # The other transaction has to get its lock first, or the two meet again.
            await asyncio.sleep(_CHANCE.uniform(0.02, 0.08))
        async with self.tx(tenant, lock_timeout_ms=lock_timeout_ms) as tx:
            return await work(tx)

    async def acquire(self, tenant: TenantRef) -> Lease:
        """Lend a connection on which this tenant's transactions can run.

        This is the one place that knows where a tenant's data is; on a cluster of machines it can answer with a
        connection to the tenant's own node. Only ``tx`` calls it.
        """
        share = tenant.id.hex
        if tenant.manifest.isolation == "role":
            return await self.pools.acquire(Login(share))
        if self._secret is None:
            msg = "a tenant with a login of its own can't be served without the deployment's secret"
            raise RuntimeError(msg)
        return await self.pools.acquire(
            Login(share, tenant.runtime_role, secret.password(self._secret, tenant.runtime_role))
        )

    async def deployment(self) -> Deployment:
        """Return which deployment this database belongs to. It is read once, and never changes."""
        if self._deployment is None:
            lease = await self._acquire_shared()
            try:
                self._deployment = await find_deployment(lease.connection)
            except CONNECTION_LOST as error:
                raise unavailable() from error
            finally:
                await self.pools.release(lease)
        if self._deployment is None:
            msg = (
                "the database isn't set up for Billfold yet: run billfold tenants list with the administrator's URL as "
                "BILLFOLD_DATABASE_URL, which does that"
            )
            raise errors.DatabaseUnavailable(msg, retry_after_s=5)
        return self._deployment

    async def settle(self) -> None:
        """Wait until the transactions that were cancelled have given back their connections."""
        while self._ending:
            await asyncio.wait(set(self._ending))

    async def close(self) -> None:
        """Finish what is ending, and close every connection."""
        await self.settle()
        await self.pools.close()

    async def _acquire_shared(self) -> Lease:
        return await self.pools.acquire(Login("platform"))

    async def _begin_platform(self, lock_timeout_ms: int, statement_timeout_ms: int, *, snapshot: bool) -> str:
        role = (await self.deployment()).platform_role
        return opening(role, PLATFORM_SCHEMA, lock_timeout_ms, statement_timeout_ms, snapshot=snapshot)

    async def finish(self, lease: Lease, sql: str) -> None:
        """End a transaction and give its connection back, also if the caller is cancelled meanwhile.

        A cancelled COMMIT would leave its outcome open for no gain, so it runs to its end by itself.
        """
        task = asyncio.create_task(self._finish(lease, sql))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        task.add_done_callback(_observe)
        await asyncio.shield(task)

    async def _finish(self, lease: Lease, sql: str) -> None:
        connection = lease.connection
        try:
            async with asyncio.timeout(_END_TIMEOUT_S):
                try:
                    await connection.execute(sql)
                except asyncpg.PostgresError as error:
                    if lease.lost:
                        raise
                    # COMMIT ends a transaction also when it fails; one that is still open never came to it.
                    is_open = connection.is_in_transaction()
                    await connection.execute(_ROLLBACK)
                    if is_open:
                        raise _BeforeCommit from error
                    raise
        except (asyncpg.PostgresError, _BeforeCommit):
            raise
        except BaseException:
            # A connection is worth less than the certainty that it is clean.
            if not lease.lost:
                connection.terminate()
            raise
        finally:
            await self.pools.release(lease)


async def find_deployment(connection: Connection) -> Deployment | None:
    """Return which deployment a database belongs to, or None before it was set up.

    It is told by the owner of the platform's schema, which everybody may see, so nobody needs a privilege for it.
    """
    owner = await connection.fetchval(
        "SELECT pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace WHERE nspname = $1", PLATFORM_SCHEMA
    )
    return None if owner is None else Deployment.of_platform_owner(owner)


class _Scope(Generic[TxT]):
    """The life of one transaction, from acquiring the connection to giving it back."""

    def __init__(
        self,
        database: Database,
        acquire: Callable[[], Coroutine[Any, Any, Lease]],
        begin: str | Callable[[], Coroutine[Any, Any, str]],
        make: Callable[[Connection], TxT],
        *,
        at_once: bool = False,
    ) -> None:
        self._database = database
        self._acquire = acquire
        self._begin = begin
        self._make = make
        self._at_once = at_once
        self._begin_sql = ""

    async def __aenter__(self) -> TxT:
        ENGINE.refuse_nesting()
        begin = self._begin if isinstance(self._begin, str) else await self._begin()
        while True:
            lease = await self._acquire()
            # A connection may have died while it was idle. Nothing has happened yet, so another will do; a fresh one
            # isn't passed over, so this ends.
            with contextlib.suppress(_Stale):
                if self._at_once:
                    self._begin_sql = begin
                else:
                    await self._start(lease, begin)
                break
        self._lease = lease
        self._tx = self._make(lease.connection)
        ENGINE.enter(self._tx)
        return self._tx

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tx.open = False
        ENGINE.leave()
        if error is None:
            try:
                await self._commit()
            finally:
                # Also if the outcome is unknown or nobody waits for it any longer: it may have been committed.
                self._tx.ended()
        else:
            lost = _lost(error, self._lease)
            await self._abort(self._lease)
            if (meaning := self._meaning(error, lost=lost) or self._tx.meaning(error)) is not None:
                raise meaning from error

    async def _start(self, lease: Lease, begin: str) -> None:
        try:
            await lease.connection.execute(begin)
        except BaseException as error:
            lost = _lost(error, lease)
            await self._abort(lease)
            if lost and not lease.fresh:
                raise _Stale from error
            if (meaning := self._meaning(error, lost=lost)) is not None:
                raise meaning from error
            raise

    async def _commit(self) -> None:
        if self._lease.lost:
            # COMMIT was never sent, so this outcome is known.
            await self._abort(self._lease)
            raise unavailable()
        try:
            # In one text an error ends it all, so COMMIT isn't reached after one; and no other SQL has run meanwhile.
            end = "COMMIT" if self._at_once else _COMMIT
            await self._database.finish(self._lease, f"{self._begin_sql}{self._tx.last_sql}{end}")
        except _BeforeCommit as failure:
            error = failure.__cause__
            assert error is not None
            if isinstance(error, _FROM_WITHIN):
                # It came of what was prepared, which stays so: a PREPARE isn't undone by a rollback.
                self._tx.committed()
            if (meaning := self._meaning(error) or self._tx.meaning(error)) is not None:
                raise meaning from error
            raise error from None
        except _NO_ANSWER as error:
            raise self._meaning_at_commit(error) from error
        self._tx.committed()

    def _meaning(self, error: BaseException, *, lost: bool = False) -> errors.BillfoldError | None:
        if not lost and isinstance(error, CANNOT_WRITE):
            self._database.unwritten.note(error, asyncio.get_running_loop().time())
        return _meaning(error, lost=lost)

    def _meaning_at_commit(self, error: Exception) -> Exception:
        """Return what a failure of COMMIT means: PostgreSQL's refusal as it is, anything else as an unknown outcome."""
        if isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] in _REFUSES_COMMIT:
            return self._meaning(error) or error
        msg = "the connection was lost while the transaction was being committed"
        return errors.OutcomeUnknown(msg, retry_after_s=1)

    async def _abort(self, lease: Lease) -> None:
        # If this fails the connection is closed instead, which rolls back just as well; the first error is told.
        with contextlib.suppress(*_NO_ANSWER):
            await self._database.finish(lease, _ROLLBACK)


class _Stale(Exception):
    """A connection from the pool turned out to be dead."""


class _BeforeCommit(Exception):
    """A statement failed that was sent together with COMMIT, which therefore wasn't carried out."""


_FROM_WITHIN = (asyncpg.DivisionByZeroError, asyncpg.UniqueViolationError)
"""What statements that end a transaction fail with on purpose; preparing them never does."""
_CURABLE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_GONE = (
    # asyncpg's word for an answer that breaks off in the middle of a conversation, as when PostgreSQL is killed.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)
_NO_ANSWER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
# What COMMIT itself can raise: a constraint or trigger that was deferred, a conflict, a transaction that has failed
# already. Anything else may have come after it, while the session was cleaned.
_REFUSES_COMMIT = frozenset({"23", "25", "40", "53", "P0"})
_BUSY = (
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)


@functools.lru_cache(maxsize=4096)
def opening(role: str, schema: str, lock_timeout_ms: int, statement_timeout_ms: int, *, snapshot: bool) -> str:
    """Return the SQL that begins a transaction as a role in a schema, and in no other."""
    mode = " ISOLATION LEVEL REPEATABLE READ, READ ONLY" if snapshot else ""
    return (
        f"BEGIN{mode}; SET LOCAL ROLE {quoted(role)}; SET LOCAL search_path TO {quoted(schema)}, pg_temp; "
        f"SET LOCAL lock_timeout TO {int(lock_timeout_ms)}; "
        f"SET LOCAL statement_timeout TO {int(statement_timeout_ms)}; "
    )


def _lost(error: BaseException, lease: Lease) -> bool:
    """Tell whether an error comes from losing the connection; an OSError alone may be anybody's."""
    return isinstance(error, _GONE) or (isinstance(error, asyncpg.InterfaceError | OSError) and lease.lost)


def _meaning(error: BaseException, *, lost: bool) -> errors.BillfoldError | None:
    """Return what a failure before COMMIT means to the caller, or None if the error speaks for itself."""
    if lost:
        return unavailable()
    if isinstance(error, _BUSY):
        msg = "the database was too busy with other work on the same rows"
        return errors.Busy(msg, retry_after_s=1)
    if isinstance(error, CANNOT_WRITE):
        return cannot_write()
    return None


def _observe(task: asyncio.Task[None]) -> None:
    """Look at the result of an ending that nobody may wait for any longer."""
    if not task.cancelled():
        task.exception()
