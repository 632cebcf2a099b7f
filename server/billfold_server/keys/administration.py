"""Sets a key store up: its schema, its migrations, and the login that serves, which may read and write rows alone.

Everything can be repeated. The login is named after the store, because logins are the whole cluster's, and its password
follows from the deployment's keyring.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from billfold import errors
from billfold_server.db.connections import KnowingConnection, hang_up
from billfold_server.db.pools import CONNECTION_LOST, dsn_for
from billfold_server.keys.migrations import MIGRATIONS, NEWEST
from billfold_server.keys.store import SCHEMA, unavailable
from billfold_server.tenancy import secret

if TYPE_CHECKING:
    from billfold_server.keys.keyring import Keyring

__all__ = ["KeyStoreUnsuitable", "check_store", "create_database", "prepare_store", "same_database"]

_TIMEOUT_S: Final = 10.0
_MAINTAIN_SINCE: Final = 17
"""The version of PostgreSQL from which a role that doesn't own a table may be let vacuum it."""
_LOCK: Final = 0x6B65_7973
"""The advisory lock under which one process at a time sets a store up."""

_FIRST: Final = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.schema_version (number integer PRIMARY KEY, run_at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS {SCHEMA}.store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), id text NOT NULL, secret_fingerprint text
);
"""


_LOSE: Final = f"""
UPDATE {SCHEMA}.key_epochs SET lost_at = clock_timestamp() WHERE backend = 'local' AND lost_at IS NULL;
UPDATE {SCHEMA}.subject_keys k SET current = false
FROM {SCHEMA}.key_epochs e
WHERE k.current AND k.wrapped IS NOT NULL AND e.tenant_id = k.tenant_id AND e.id = k.epoch_id AND e.lost_at IS NOT NULL;
"""  # noqa: S608 - A constant.
"""What was wrapped by a keyring that is lost for good never opens again; what is sealed from now on has other keys."""


class KeyStoreUnsuitable(errors.BillfoldError):
    """The key store can't be used. The message is one sentence that says what to do."""


async def prepare_store(admin_dsn: str, keyring: "Keyring", *, adopt: bool = False) -> str:
    """Make a database ready to be the key store, or find that it is, and return how the server reaches it.

    Args:
        admin_dsn: The database, as a role that may create roles and schemas.
        keyring: From which the login's password follows.
        adopt: Let it follow from another keyring than before, on purpose. What the former one has wrapped is lost.

    Raises:
        KeyStoreUnsuitable: It was set up with another keyring; or by a newer version, which alone can let it follow
            from another one.
        errors.KeysUnavailable: It can't be reached.
    """
    derived = keyring.derive("key store logins")
    async with _connect(admin_dsn) as connection:
        await connection.execute(f"SELECT pg_advisory_lock({_LOCK})")
        await connection.execute(_FIRST)
        login = await _login(connection)
        found = await connection.fetchval(f"SELECT secret_fingerprint FROM {SCHEMA}.store")  # noqa: S608 - A constant.
        ours = found == secret.fingerprint(derived)
        if found is not None and not ours and not adopt:
            msg = (
                "The key store was set up with another keyring: bring that one back, for without it nothing of what "
                "it has sealed can be opened."
            )
            raise KeyStoreUnsuitable(msg)
        if await _is_newer(connection):
            if not ours:
                msg = "The key store was set up by a newer version of Billfold: change its keyring with that version."
                raise KeyStoreUnsuitable(msg)
            # While servers are renewed one after the other, an older one goes on with it as it is (``check_store``):
            # the rights to tables that it doesn't know aren't for it to give.
            return dsn_for(admin_dsn, user=login, password=secret.password(derived, login))
        await _migrate(connection)
        if not ours:
            await _admit(connection, login, secret.scram_verifier(secret.password(derived, login)))
            if found is not None:
                await connection.execute(_LOSE)
            await connection.execute(
                f"UPDATE {SCHEMA}.store SET secret_fingerprint = $1",  # noqa: S608 - A constant.
                secret.fingerprint(derived),
            )
        await _grant(connection, login)
    return dsn_for(admin_dsn, user=login, password=secret.password(derived, login))


async def check_store(dsn: str) -> None:
    """See that a key store is there, and as new as this version at least, as the login that serves.

    Raises:
        KeyStoreUnsuitable: It isn't.
        errors.KeysUnavailable: It can't be reached.
    """
    async with _connect(dsn) as connection:
        if await connection.fetchval("SELECT to_regclass($1) IS NULL", f"{SCHEMA}.schema_version"):
            number = None
        else:
            number = await _newest(connection)
    # A newer one stays readable for this version while servers are renewed one after the other.
    if number is None or number < NEWEST:
        msg = (
            "The key store isn't set up for this version: start Billfold once with BILLFOLD_KEY_STORE_ADMIN_URL, the "
            "same database as a role that may create roles and schemas."
        )
        raise KeyStoreUnsuitable(msg)


async def create_database(admin_dsn: str, name: str) -> bool:
    """Make a database beside the administrator's where it isn't there; False if the role may not."""
    async with _connect(admin_dsn) as connection:
        if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)", name):
            return True
        quoted = await connection.fetchval("SELECT quote_ident($1)", name)
        try:
            await connection.execute(f"CREATE DATABASE {quoted} TEMPLATE template0 ENCODING 'UTF8'")
        except asyncpg.InsufficientPrivilegeError:
            return False
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            # Another process was quicker.
            pass
        return True


async def same_database(dsn: str, other: str) -> bool:
    """Tell whether two addresses lead to one database, however they are written."""
    return await _identity(dsn) == await _identity(other)


async def _identity(dsn: str) -> tuple[Any, ...]:
    async with _connect(dsn) as connection:
        row = await connection.fetchrow(
            "SELECT system_identifier, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) "
            "FROM pg_catalog.pg_control_system()"
        )
    assert row is not None, "the function returns one row"
    return tuple(row)


async def _login(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    """Return the name of the login that serves, which is made where it isn't there."""
    await connection.execute(
        f"INSERT INTO {SCHEMA}.store (id) VALUES ($1) ON CONFLICT DO NOTHING",  # noqa: S608 - A constant.
        secrets.token_hex(6),
    )
    store_id = await connection.fetchval(f"SELECT id FROM {SCHEMA}.store")  # noqa: S608 - A constant.
    login = f"bfkeys_{store_id}"
    if await connection.fetchval("SELECT to_regrole($1) IS NULL", login):
        await connection.execute(f"CREATE ROLE {login} NOLOGIN NOINHERIT")
    return login


async def _admit(connection: "asyncpg.Connection[asyncpg.Record]", login: str, verifier: str) -> None:
    await connection.execute(f"ALTER ROLE {login} LOGIN PASSWORD '{verifier}'")


async def _newest(connection: "asyncpg.Connection[asyncpg.Record]") -> int | None:
    newest: int | None = await connection.fetchval(f"SELECT max(number) FROM {SCHEMA}.schema_version")  # noqa: S608
    return newest


async def _is_newer(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    newest = await _newest(connection)
    return newest is not None and newest > NEWEST


async def _migrate(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    newest = await _newest(connection)
    for each in MIGRATIONS:
        if newest is not None and each.number <= newest:
            continue
        async with connection.transaction():
            await connection.execute(f"SET LOCAL search_path TO {SCHEMA}, pg_temp; SET LOCAL lock_timeout TO 2000")
            await connection.execute(each.sql)
            await connection.execute("INSERT INTO schema_version VALUES ($1, clock_timestamp())", each.number)


async def _grant(connection: "asyncpg.Connection[asyncpg.Record]", login: str) -> None:
    """Let the login into the database and to the rows, and, where the database is ours, nobody else."""
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {login}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {login}; "
        f"REVOKE INSERT, UPDATE, DELETE ON {SCHEMA}.schema_version FROM {login}; "
        f"REVOKE ALL ON {SCHEMA}.store FROM {login}"
    )
    if connection.get_server_version().major >= _MAINTAIN_SINCE:
        # What was destroyed is vacuumed at once, not when PostgreSQL comes to it.
        await connection.execute(f"GRANT MAINTAIN ON {SCHEMA}.subject_keys TO {login}")
    if await connection.fetchval(
        "SELECT pg_has_role(current_user, datdba, 'USAGE') FROM pg_catalog.pg_database "
        "WHERE datname = current_database()"
    ):
        await connection.execute(
            f"GRANT CONNECT ON DATABASE {database} TO {login}; "
            f"REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC"
        )


@asynccontextmanager
async def _connect(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=_TIMEOUT_S,
            command_timeout=_TIMEOUT_S,
            connection_class=KnowingConnection,
            server_settings={"search_path": "", "application_name": "billfold keys"},
        )
    except (*CONNECTION_LOST, TimeoutError) as error:
        raise unavailable() from error
    try:
        yield connection
    except CONNECTION_LOST as error:
        # Also where it was silent for too long, which is an OSError as well.
        raise unavailable() from error
    except asyncpg.InterfaceError as error:
        # What the driver says of a transaction whose connection was lost.
        if connection.is_closed():
            raise unavailable() from error
        raise
    finally:
        # Closing also gives the lock back.
        await hang_up(connection, timeout_s=_TIMEOUT_S)
