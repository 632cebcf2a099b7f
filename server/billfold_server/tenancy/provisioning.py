"""What needs a database administrator's rights: setting the database up, and a tenant's roles and schema.

Everything here can be repeated. A step looks at what is there and does what is missing, so a process that was killed in
the middle is continued by the next one. Roles are committed before anything uses them, because on a cluster of machines
they reach the other nodes with the commit.

The administrator needs no superuser: CREATEROLE, and owning the database, are enough.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

import asyncpg
import msgspec

from billfold import errors
from billfold_server.db.connections import KnowingConnection, hang_up
from billfold_server.db.pools import CONNECTION_LOST, dsn_for, unavailable
from billfold_server.db.unwritten import CANNOT_WRITE, cannot_write
from billfold_server.tenancy import building, partitions, roles, secret
from billfold_server.tenancy.building import Progress
from billfold_server.tenancy.partitions import Partition
from billfold_server.tenancy.roles import AdminConnection, Isolation
from billfold_server.tenancy.rules import (
    DEPLOYMENT_LENGTH,
    PLATFORM_SCHEMA,
    Deployment,
    TenantNames,
    new_deployment_id,
    objection,
    quoted,
)
from billfold_server.tenancy.transaction import Connection, Tx, find_deployment

__all__ = [
    "Administrator",
    "Bootstrapped",
    "DatabaseUnsuitable",
    "KeyringDiffers",
    "Provisioned",
    "find_fingerprint",
    "refuse_new_keyring",
]

_CONNECT_S = 20.0
"""How long a connection may take. Who administers can wait for longer than a request, which others wait for."""
_CLOSE_S = 5.0
_ASKED_EVERY_S = (0.01, 0.2)
"""How often a lock of the session is asked for that another process has, at first and later."""


class DatabaseUnsuitable(errors.BillfoldError):
    """The database can't carry Billfold. The message is one sentence that says what to do."""


class KeyringDiffers(errors.BillfoldError):
    """The database's logins follow from another keyring. The message is one sentence that says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "The database was set up with another keyring: bring that one back (BILLFOLD_KEYRING_FILE, or keyring.json "
            "in the data folder), or, if it is lost for good, give every database login a new password with billfold "
            "adopt-keyring, which locks out servers that still have the other one."
        )


class Bootstrapped(msgspec.Struct, frozen=True):
    """A database that is ready.

    Attributes:
        deployment: Which deployment it belongs to.
        runtime_dsn: How the server reaches it; holds a password.
    """

    deployment: Deployment
    runtime_dsn: str

    def __repr__(self) -> str:
        """Show the deployment, and not the password."""
        return f"Bootstrapped({self.deployment.id})"


class Provisioned(msgspec.Struct, frozen=True):
    """What ``provision`` has left behind.

    Attributes:
        schema_version: The newest migration that the schema has.
        other_way_open: Whether the tenant's roles can still be reached in a way that its isolation doesn't ask for.
    """

    schema_version: str | None
    other_way_open: bool


class Administrator:
    """The administrator's hands. One method is one step, and each step can be repeated."""

    def __init__(self, admin_dsn: str, *, deployment_secret: bytes) -> None:
        self._dsn = admin_dsn
        self._secret = deployment_secret

    async def bootstrap(self, *, adopt: bool = False) -> Bootstrapped:
        """Make the database ready for Billfold, or find that it is.

        It gets the platform's schema and roles, and the login that the server uses. The login's password follows from
        the deployment's secret. Whoever comes with another secret changes nothing: it may be a laptop, or a server
        whose volume was lost, and new passwords would lock out everybody who still has the right one.

        Args:
            adopt: Give every login the password that follows from another secret, on purpose.

        Raises:
            KeyringDiffers: The database was set up with another secret.
            DatabaseUnsuitable: PostgreSQL is too old, or the administrator lacks a right.
            errors.DatabaseUnavailable: The database can't be reached.
        """
        async with self.connect() as connection, _locked(connection, "bootstrap"):
            await _check(connection)
            deployment = await find_deployment(connection)
            if deployment is None:
                deployment = await self._create(connection)
            fingerprint = await find_fingerprint(connection, deployment)
            ours = fingerprint == secret.fingerprint(self._secret)
            if fingerprint is not None and not ours and not adopt:
                raise KeyringDiffers
            await roles.guard_database(connection, deployment)
            await building.migrate(
                connection, "platform", deployment.platform_owner, deployment.platform_role, PLATFORM_SCHEMA
            )
            if not ours:
                await self._key_logins(connection, deployment)
        password = secret.password(self._secret, deployment.app_login)
        return Bootstrapped(deployment, dsn_for(self._dsn, user=deployment.app_login, password=password))

    async def provision(
        self,
        deployment: Deployment,
        names: TenantNames,
        isolation: Isolation,
        *,
        check: Callable[[], Awaitable[None]],
        progress: Progress,
    ) -> Provisioned:
        """Give a tenant what it lacks of roles, schema and migrations.

        Args:
            deployment: Which one.
            names: The tenant's.
            isolation: How it is kept apart.
            check: Refuses a tenant that was deleted meanwhile, once nobody else is at it.
            progress: Is told of each step.

        Raises:
            errors.Busy: A lock wasn't to be had in time; the steps before are done.
        """
        async with self.connect() as connection, _locked(connection, names.schema):
            await check()
            progress("roles")
            await self._add_roles(connection, deployment, names, isolation)
            progress("schema")
            await building.add_schema(connection, deployment, names)
            version = await building.migrate(
                connection, "tenant", names.owner_role, names.runtime_role, names.schema, progress=progress
            )
            await building.add_partitions(connection, names, ahead=partitions.AT_FIRST)
            return Provisioned(version, await roles.other_way_is_open(connection, deployment, names, isolation))

    async def open_way(
        self,
        deployment: Deployment,
        names: TenantNames,
        isolation: Isolation,
        *,
        check: Callable[[], Awaitable[None]],
    ) -> None:
        """Open the way to the tenant's roles that an isolation asks for. The arguments are those of ``provision``."""
        async with self.connect() as connection, _locked(connection, names.schema):
            await check()
            await self._add_roles(connection, deployment, names, isolation)

    async def close_other_way(self, deployment: Deployment, names: TenantNames, isolation: Isolation) -> None:
        """Close the way to the tenant's roles that its isolation doesn't ask for."""
        async with self.connect() as connection, _locked(connection, names.schema):
            if isolation == "login":
                await connection.execute(f"REVOKE {quoted(names.runtime_role)} FROM {quoted(deployment.app_login)}")
            else:
                await connection.execute(f"ALTER ROLE {quoted(names.runtime_role)} NOLOGIN PASSWORD NULL")

    async def migrate(self, names: TenantNames, *, progress: Progress | None = None) -> str | None:
        """Bring a tenant's schema up to date, months of the ledger included, and return its version.

        Each migration commits with the note that it was run, so whatever stops the work costs at most one of them.

        Raises:
            errors.Busy: A lock wasn't to be had in time; the migrations before are done.
            asyncpg.PostgresError: PostgreSQL refuses a migration.
        """
        async with self.connect() as connection, _locked(connection, names.schema):
            version = await building.migrate(
                connection, "tenant", names.owner_role, names.runtime_role, names.schema, progress=progress
            )
            await building.add_partitions(connection, names)
            return version

    async def partition(
        self, names: TenantNames, *, ahead: int = partitions.AHEAD
    ) -> tuple[list[date], list[Partition]]:
        """Make the months of a tenant's ledger that are missing, and return them, and what there is of every month.

        Raises:
            errors.Busy: A lock wasn't to be had in time; the months before are done.
        """
        async with self.connect() as connection, _locked(connection, names.schema):
            made = await building.add_partitions(connection, names, ahead=ahead)
            async with building.owner_tx(connection, names.owner_role, names.schema) as tx:
                return made, await partitions.list_partitions(tx)

    @asynccontextmanager
    async def owner_tx(self, names: TenantNames) -> AsyncIterator[Tx]:
        """Open a transaction as the owner of a tenant's tables.

        Raises:
            errors.Busy: A lock wasn't to be had in time; nothing has changed.
        """
        async with (
            self.connect() as connection,
            _locked(connection, names.schema),
            building.owner_tx(connection, names.owner_role, names.schema) as tx,
        ):
            yield tx

    async def schemas_without_months(self, schemas: Sequence[str], *, ahead: int) -> set[str]:
        """Return those of some tenants' schemas that lack one of the months of their ledger, so many ahead."""
        months = partitions.months_from(partitions.month_of(datetime.now(UTC)), ahead)
        async with self.connect() as connection:
            return await partitions.schemas_lacking(connection, schemas, months)

    async def drop(self, names: TenantNames) -> None:
        """Take a tenant's schema and roles away, with everything in them."""
        async with self.connect() as connection, _locked(connection, names.schema):
            standing = {
                row["rolname"]
                for row in await connection.fetch(
                    "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY($1)",
                    [names.owner_role, names.runtime_role],
                )
            }
            if names.runtime_role in standing:
                await connection.execute(f"ALTER ROLE {quoted(names.runtime_role)} NOLOGIN")
            if names.owner_role in standing:
                async with connection.transaction():
                    await connection.execute(
                        f"SET LOCAL ROLE {quoted(names.owner_role)}; "
                        f"SET LOCAL lock_timeout TO {building.LOCK_TIMEOUT_MS}; "
                        f"DROP SCHEMA IF EXISTS {quoted(names.schema)} CASCADE"
                    )
            for role in sorted(standing):
                # Roles are the whole cluster's: a copy of this database, made beside it for a trial, still needs them.
                # What is left then can't log in, and has nothing here.
                with contextlib.suppress(asyncpg.DependentObjectsStillExistError):
                    await connection.execute(f"DROP ROLE IF EXISTS {quoted(role)}")

    @asynccontextmanager
    async def exclusively(self, name: str) -> AsyncIterator[None]:
        """Let one process at a time do a kind of work; another one waits for its turn."""
        async with self.connect() as connection, _locked(connection, name):
            yield

    @asynccontextmanager
    async def unless_taken(self, name: str) -> AsyncIterator[bool]:
        """Let one process at a time do a kind of work, and tell whether it is this one, which waits for no other.

        Whoever waits for a lock in PostgreSQL has a snapshot, for as long as which no table can be cleaned up.
        """
        async with self.connect() as connection:
            mine = await _take(connection, name)
            yield mine
            if mine:
                await _unlock(connection, name)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AdminConnection]:
        """Open a connection as the administrator."""
        try:
            connection: AdminConnection = await asyncpg.connect(
                self._dsn,
                timeout=_CONNECT_S,
                connection_class=KnowingConnection,
                server_settings={"search_path": "", "application_name": "billfold admin"},
            )
        except (*CONNECTION_LOST, TimeoutError) as error:
            raise unavailable() from error
        try:
            yield connection
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            # A deadlock, too, is broken in favour of somebody else's change of the same tables.
            msg = "a lock on the schema wasn't to be had in time"
            raise errors.Busy(msg, retry_after_s=5) from error
        except CANNOT_WRITE as error:
            raise cannot_write() from error
        except (*CONNECTION_LOST, asyncpg.InterfaceError) as error:
            # The latter is what the driver says of a transaction whose connection was lost.
            if connection.is_closed():
                raise unavailable() from error
            raise
        finally:
            # Closing also ends the locks of the session and whatever was left open.
            connection.terminate() if connection.is_closed() else await hang_up(connection, timeout_s=_CLOSE_S)

    async def _add_roles(
        self, connection: AdminConnection, deployment: Deployment, names: TenantNames, isolation: Isolation
    ) -> None:
        await roles.create_role(connection, names.owner_role)
        await roles.create_role(connection, names.runtime_role)
        if isolation == "login":
            if not await roles.can_login(connection, names.runtime_role):
                await self._set_password(connection, names.runtime_role, "LOGIN NOINHERIT")
            await roles.admit(connection, deployment, names.runtime_role)
        elif not await roles.is_member(connection, deployment.app_login, names.runtime_role):
            await connection.execute(
                f"GRANT {quoted(names.runtime_role)} TO {quoted(deployment.app_login)} WITH INHERIT FALSE, SET TRUE"
            )

    async def _create(self, connection: AdminConnection) -> Deployment:
        """Make roles and schema of a new deployment, all or none of them."""
        deployment = Deployment(new_deployment_id(secrets.token_bytes(DEPLOYMENT_LENGTH)))
        owner, runtime, app = deployment.platform_owner, deployment.platform_role, deployment.app_login
        async with connection.transaction():
            for role in (deployment.creator_role, deployment.guest_role, owner, runtime):
                await roles.create_role(connection, role)
            await roles.create_role(connection, app)
            await self._set_password(connection, app, "LOGIN NOINHERIT")
            await connection.execute(
                f"GRANT {quoted(runtime)} TO {quoted(app)} WITH INHERIT FALSE, SET TRUE; "
                f"CREATE SCHEMA {PLATFORM_SCHEMA} AUTHORIZATION {quoted(owner)}; "
                f"SET LOCAL ROLE {quoted(owner)}; GRANT USAGE ON SCHEMA {PLATFORM_SCHEMA} TO {quoted(runtime)}"
            )
        return deployment

    async def _key_logins(self, connection: AdminConnection, deployment: Deployment) -> None:
        """Give every login the password that follows from the secret, and note which secret it is: all, or nothing."""
        async with connection.transaction():
            for login in await roles.logins(connection, deployment):
                await self._set_password(connection, login, "LOGIN")
            await connection.execute(f"SET LOCAL ROLE {quoted(deployment.platform_owner)}")
            await connection.execute(
                f"INSERT INTO {PLATFORM_SCHEMA}.deployment (id, secret_fingerprint, created_at) VALUES ($1, $2, $3) "  # noqa: S608 - A constant.
                "ON CONFLICT (id) DO UPDATE SET secret_fingerprint = EXCLUDED.secret_fingerprint",
                deployment.id,
                secret.fingerprint(self._secret),
                datetime.now(UTC),
            )

    async def _set_password(self, connection: AdminConnection, role: str, options: str) -> None:
        verifier = secret.scram_verifier(secret.password(self._secret, role))
        await connection.execute(f"ALTER ROLE {quoted(role)} {options} PASSWORD '{verifier}'")


async def _check(connection: AdminConnection) -> None:
    """Make sure that the database can carry Billfold.

    Raises:
        DatabaseUnsuitable: It can't.
    """
    row = await connection.fetchrow(
        "SELECT rolsuper OR rolcreaterole AS creates_roles, rolname AS role, current_database() AS database, "
        "has_database_privilege(current_database(), 'CREATE WITH GRANT OPTION') AS owns_database "
        "FROM pg_catalog.pg_roles WHERE rolname = current_user"
    )
    assert row is not None, "everybody has a row of their own"
    found = objection(version=connection.get_server_version().major, **row)
    if found is not None:
        raise DatabaseUnsuitable(found)


async def refuse_new_keyring(dsn: str) -> None:
    """See that a database isn't set up already, before a keyring is made that it wouldn't follow.

    Raises:
        KeyringDiffers: It follows a keyring, which then is another one.
        errors.DatabaseUnavailable: It can't be reached.
    """
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_S)
    except CONNECTION_LOST as error:
        raise unavailable() from error
    try:
        deployment = await find_deployment(connection)
        if deployment is not None and await find_fingerprint(connection, deployment) is not None:
            raise KeyringDiffers
    except CONNECTION_LOST as error:
        raise unavailable() from error
    finally:
        await hang_up(connection, timeout_s=_CLOSE_S)


async def find_fingerprint(connection: Connection, deployment: Deployment) -> str | None:
    """Return the fingerprint of the secret from which a deployment's logins follow, or None before it is noted.

    Args:
        connection: Of the administrator's, or of the server's own login.
        deployment: Which one.
    """
    async with connection.transaction():
        await connection.execute(f"SET LOCAL ROLE {quoted(deployment.platform_role)}")
        if await connection.fetchval("SELECT to_regclass($1) IS NULL", f"{PLATFORM_SCHEMA}.deployment"):
            return None
        found: str | None = await connection.fetchval(
            f"SELECT secret_fingerprint FROM {PLATFORM_SCHEMA}.deployment WHERE id = $1",  # noqa: S608 - A constant.
            deployment.id,
        )
        return found


@asynccontextmanager
async def _locked(connection: AdminConnection, name: str) -> AsyncIterator[None]:
    """Let one process at a time work on a thing. The lock belongs to the session, and so ends with it.

    It is asked for again and again: whoever waits for it in PostgreSQL has a snapshot, and whoever has it and builds an
    index beside writers waits for the end of all snapshots, so that each would wait for the other.
    """
    pause_s = _ASKED_EVERY_S[0]
    while not await _take(connection, name):
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _ASKED_EVERY_S[1])
    yield
    await _unlock(connection, name)


def _lock_name(name: str) -> str:
    return f"billfold {name}"


async def _take(connection: AdminConnection, name: str) -> bool:
    taken: bool = await connection.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", _lock_name(name))
    return taken


async def _unlock(connection: AdminConnection, name: str) -> None:
    if not connection.is_closed():
        await connection.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", _lock_name(name))
