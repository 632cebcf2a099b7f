"""What needs a database administrator's rights: setting the database up, and a tenant's roles and schema.

Everything here can be repeated. A step looks at what is there and does what is missing, so a process that was killed in
the middle is continued by the next one. Roles are committed before anything uses them, because on a cluster of machines
they reach the other nodes with the commit.

The administrator needs no superuser: CREATEROLE, and owning the database, are enough.
"""

import asyncio
import contextlib
import functools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Literal, TypeAlias

import asyncpg
import msgspec

from billfold import errors
from billfold_server.db.connections import KnowingConnection
from billfold_server.db.engine import ENGINE
from billfold_server.db.pools import CONNECTION_LOST, dsn_for, unavailable
from billfold_server.tenancy import indexing, migrations, partitions, secret
from billfold_server.tenancy.partitions import Partition
from billfold_server.tenancy.rules import (
    DEPLOYMENT_LENGTH,
    PLATFORM_SCHEMA,
    Deployment,
    TenantNames,
    new_deployment_id,
    objection,
    quoted,
)
from billfold_server.tenancy.transaction import Connection, Tx, find_deployment, opening

__all__ = [
    "Administrator",
    "Bootstrapped",
    "DatabaseUnsuitable",
    "Isolation",
    "KeyringDiffers",
    "Provisioned",
    "find_fingerprint",
    "refuse_new_keyring",
]

AdminConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Isolation = Literal["role", "login"]
Progress = Callable[[str], None]

_LOCK_TIMEOUT_MS = 2_000
_PAUSES_S = (0.25, 0.5, 1.0, 2.0)
_ASKED_EVERY_S = (0.01, 0.2)
"""How often a lock of the session is asked for that another process has, at first and later."""
_STATEMENT_TIMEOUT_MS = 600_000


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
            await _guard_database(connection, deployment)
            await _migrate(connection, "platform", deployment.platform_owner, deployment.platform_role, PLATFORM_SCHEMA)
            if not ours:
                await self._key_logins(connection, deployment)
        password = secret.password(self._secret, deployment.app_login)
        return Bootstrapped(deployment, dsn_for(self._dsn, user=deployment.app_login, password=password))

    async def provision(
        self, deployment: Deployment, names: TenantNames, isolation: Isolation, *, progress: Progress
    ) -> Provisioned:
        """Give a tenant what it lacks of roles, schema and migrations.

        Raises:
            errors.Busy: A lock wasn't to be had in time; the steps before are done.
        """
        async with self.connect() as connection, _locked(connection, names.schema):
            progress("roles")
            await self._add_roles(connection, deployment, names, isolation)
            progress("schema")
            await _add_schema(connection, deployment, names)
            version = await _migrate(
                connection, "tenant", names.owner_role, names.runtime_role, names.schema, progress=progress
            )
            await _add_partitions(connection, names, ahead=partitions.AT_FIRST)
            return Provisioned(version, await _other_way_is_open(connection, deployment, names, isolation))

    async def open_way(self, deployment: Deployment, names: TenantNames, isolation: Isolation) -> None:
        """Open the way to the tenant's roles that an isolation asks for."""
        async with self.connect() as connection, _locked(connection, names.schema):
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
            version = await _migrate(
                connection, "tenant", names.owner_role, names.runtime_role, names.schema, progress=progress
            )
            await _add_partitions(connection, names)
            return version

    async def partition(
        self, names: TenantNames, *, ahead: int = partitions.AHEAD
    ) -> tuple[list[date], list[Partition]]:
        """Make the months of a tenant's ledger that are missing, and return them, and what there is of every month.

        Raises:
            errors.Busy: A lock wasn't to be had in time; the months before are done.
        """
        async with self.connect() as connection, _locked(connection, names.schema):
            made = await _add_partitions(connection, names, ahead=ahead)
            async with _owner_tx(connection, names.owner_role, names.schema) as tx:
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
            _owner_tx(connection, names.owner_role, names.schema) as tx,
        ):
            yield tx

    async def schemas_without_months(self, schemas: Sequence[str]) -> set[str]:
        """Return those of some tenants' schemas whose ledger isn't made as far ahead as it should be."""
        months = partitions.months_from(partitions.month_of(datetime.now(UTC)), partitions.AHEAD)
        async with self.connect() as connection:
            return await partitions.schemas_lacking(connection, schemas, months)

    async def drop(self, names: TenantNames) -> None:
        """Take a tenant's schema and roles away, with everything in them."""
        async with self.connect() as connection, _locked(connection, names.schema):
            roles = {
                row["rolname"]
                for row in await connection.fetch(
                    "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY($1)",
                    [names.owner_role, names.runtime_role],
                )
            }
            if names.runtime_role in roles:
                await connection.execute(f"ALTER ROLE {quoted(names.runtime_role)} NOLOGIN")
            if names.owner_role in roles:
                async with connection.transaction():
                    await connection.execute(
                        f"SET LOCAL ROLE {quoted(names.owner_role)}; SET LOCAL lock_timeout TO {_LOCK_TIMEOUT_MS}; "
                        f"DROP SCHEMA IF EXISTS {quoted(names.schema)} CASCADE"
                    )
            for role in sorted(roles):
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
                timeout=5,
                connection_class=KnowingConnection,
                server_settings={"search_path": "", "application_name": "billfold admin"},
            )
        except (*CONNECTION_LOST, TimeoutError) as error:
            raise unavailable() from error
        try:
            yield connection
        except asyncpg.LockNotAvailableError as error:
            msg = "a lock on the schema wasn't to be had in time"
            raise errors.Busy(msg, retry_after_s=5) from error
        except CONNECTION_LOST as error:
            if connection.is_closed():
                raise unavailable() from error
            raise
        finally:
            # Closing also ends the locks of the session and whatever was left open.
            connection.terminate() if connection.is_closed() else await connection.close(timeout=5)

    async def _add_roles(
        self, connection: AdminConnection, deployment: Deployment, names: TenantNames, isolation: Isolation
    ) -> None:
        await _create_role(connection, names.owner_role)
        await _create_role(connection, names.runtime_role)
        if isolation == "login":
            if not await _can_login(connection, names.runtime_role):
                await self._set_password(connection, names.runtime_role, "LOGIN NOINHERIT")
            await _admit(connection, deployment, names.runtime_role)
        elif not await _is_member(connection, deployment.app_login, names.runtime_role):
            await connection.execute(
                f"GRANT {quoted(names.runtime_role)} TO {quoted(deployment.app_login)} WITH INHERIT FALSE, SET TRUE"
            )

    async def _create(self, connection: AdminConnection) -> Deployment:
        """Make roles and schema of a new deployment, all or none of them."""
        deployment = Deployment(new_deployment_id(secrets.token_bytes(DEPLOYMENT_LENGTH)))
        owner, runtime, app = deployment.platform_owner, deployment.platform_role, deployment.app_login
        async with connection.transaction():
            for role in (deployment.creator_role, deployment.guest_role, owner, runtime):
                await _create_role(connection, role)
            await _create_role(connection, app)
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
            for login in await _logins(connection, deployment):
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
    """
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        deployment = await find_deployment(connection)
        if deployment is not None and await find_fingerprint(connection, deployment) is not None:
            raise KeyringDiffers
    finally:
        await connection.close(timeout=5)


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


async def _logins(connection: AdminConnection, deployment: Deployment) -> list[str]:
    rows = await connection.fetch(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolcanlogin AND starts_with(rolname, $1) ORDER BY rolname",
        f"bf_{deployment.id}_",
    )
    return [row["rolname"] for row in rows]


async def _guard_database(connection: AdminConnection, deployment: Deployment) -> None:
    """Let the deployment's roles into the database, and nobody else.

    PostgreSQL lets every login of the cluster connect to every database, and make temporary tables in it. Only the
    database's owner can end that. A copy of a database doesn't inherit the privileges on the database itself, so this
    is done at each start; a role stands between the logins and the database, because two sessions can't change a
    database's privileges at a time.
    """
    await _create_role(connection, deployment.guest_role)
    for login in await _logins(connection, deployment):
        await _admit(connection, deployment, login)
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    creator, guest = quoted(deployment.creator_role), quoted(deployment.guest_role)
    await connection.execute(f"GRANT CREATE ON DATABASE {database} TO {creator}")
    if await connection.fetchval(
        "SELECT pg_has_role(current_user, datdba, 'USAGE') FROM pg_catalog.pg_database "
        "WHERE datname = current_database()"
    ):
        await connection.execute(
            f"GRANT CONNECT ON DATABASE {database} TO {guest}; "
            f"REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC"
        )


async def _admit(connection: AdminConnection, deployment: Deployment, login: str) -> None:
    """Let a login connect to the database."""
    if not await _is_member(connection, login, deployment.guest_role):
        await connection.execute(
            f"GRANT {quoted(deployment.guest_role)} TO {quoted(login)} WITH INHERIT TRUE, SET FALSE"
        )


async def _create_role(connection: AdminConnection, role: str) -> None:
    """Make a role that inherits nothing but may be given something, and let the administrator become it."""
    if await connection.fetchval("SELECT to_regrole($1) IS NULL", role):
        await connection.execute(f"CREATE ROLE {quoted(role)} NOLOGIN; ALTER ROLE {quoted(role)} SET search_path TO ''")
    if not await connection.fetchval("SELECT pg_has_role(current_user, $1, 'SET')", role):
        await connection.execute(f"GRANT {quoted(role)} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE")


async def _add_schema(connection: AdminConnection, deployment: Deployment, names: TenantNames) -> None:
    """Make a tenant's schema, which belongs to its owner role and which its runtime role may enter."""
    creator, owner = quoted(deployment.creator_role), quoted(names.owner_role)
    if await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", names.schema):
        if await _is_member(connection, names.owner_role, deployment.creator_role):
            # Whoever made the schema was killed before it took the right to make schemas away again.
            await connection.execute(f"REVOKE {creator} FROM {owner}")
        return
    await connection.execute(f"GRANT {creator} TO {owner} WITH INHERIT TRUE, SET FALSE")
    async with connection.transaction():
        await connection.execute(
            f"SET LOCAL ROLE {owner}; CREATE SCHEMA {quoted(names.schema)}; "
            f"GRANT USAGE ON SCHEMA {quoted(names.schema)} TO {quoted(names.runtime_role)}"
        )
    await connection.execute(f"REVOKE {creator} FROM {owner}")


async def _other_way_is_open(
    connection: AdminConnection, deployment: Deployment, names: TenantNames, isolation: Isolation
) -> bool:
    """Tell whether a way to the tenant's roles is open that its isolation doesn't ask for."""
    if isolation == "login":
        return await _is_member(connection, deployment.app_login, names.runtime_role)
    return await _can_login(connection, names.runtime_role)


async def _can_login(connection: AdminConnection, role: str) -> bool:
    return bool(await connection.fetchval("SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = $1", role))


async def _is_member(connection: AdminConnection, member: str, role: str) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_auth_members "
            "WHERE member = to_regrole($1) AND roleid = to_regrole($2))",
            member,
            role,
        )
    )


async def _migrate(
    connection: AdminConnection,
    app: migrations.App,
    owner: str,
    runtime: str,
    schema: str,
    *,
    progress: Progress | None = None,
) -> str | None:
    async with _owner_tx(connection, owner, schema):
        steps = await migrations.pending(app)
    for step in steps:
        await indexing.build(connection, owner, schema, step.indexes)
        await _patiently(connection, owner, schema, functools.partial(_apply, step=step, runtime=runtime))
        if progress is not None:
            progress(step.migration_id)
    return migrations.newest(app)


async def _apply(_: Tx, *, step: migrations.SqlMigration, runtime: str) -> None:
    await step.apply(runtime)


async def _patiently(
    connection: AdminConnection, owner: str, schema: str, work: Callable[[Tx], Awaitable[None]]
) -> None:
    """Change a schema, and try again if a lock isn't to be had.

    While a change waits for a lock, everybody else waits behind it. So it waits briefly, lets them pass, and comes
    back.
    """
    for pause_s in _PAUSES_S:
        try:
            async with _owner_tx(connection, owner, schema) as tx:
                await work(tx)
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(pause_s)
        else:
            return
    async with _owner_tx(connection, owner, schema) as tx:
        await work(tx)


async def _add_partitions(
    connection: AdminConnection, names: TenantNames, *, ahead: int = partitions.AHEAD
) -> list[date]:
    """Make the months of a ledger that are missing: the present one, some ahead, and those that were never made.

    What is empty is made at once. What has rows in the default partition is moved a month at a time, each in a
    transaction of its own.
    """
    present = partitions.month_of(datetime.now(UTC))
    wanted = partitions.months_from(present, ahead)
    async with _owner_tx(connection, names.owner_role, names.schema) as tx:
        moved = await partitions.default_months(tx, until=wanted[-1])
        lacking = await partitions.missing(tx, sorted({*wanted, *moved}))
    empty = [month for month in lacking if month not in moved]
    for some in ([empty] if empty else []) + [[month] for month in lacking if month in moved]:
        await _patiently(connection, names.owner_role, names.schema, functools.partial(_make, months=some, moved=moved))
    return lacking


async def _make(tx: Tx, *, months: Sequence[date], moved: Sequence[date]) -> None:
    await partitions.make(tx, months, moved=[month for month in months if month in moved])


@asynccontextmanager
async def _owner_tx(connection: AdminConnection, owner: str, schema: str) -> AsyncIterator[Tx]:
    """Run a transaction as a schema's owner, in that schema alone; Piccolo's queries join it."""
    ENGINE.refuse_nesting()
    tx = Tx(connection)
    try:
        await connection.execute(opening(owner, schema, _LOCK_TIMEOUT_MS, _STATEMENT_TIMEOUT_MS, snapshot=False))
        ENGINE.enter(tx)
        yield tx
        tx.open = False
        await connection.execute("SHOW transaction_read_only; COMMIT")
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    finally:
        tx.open = False
        ENGINE.leave()


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
