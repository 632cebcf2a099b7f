"""From a database's URL to everything that works on it."""

import asyncpg
import msgspec

from billfold_server.db.pools import CONNECTION_LOST, PoolSettings, unavailable
from billfold_server.tenancy.provisioning import Administrator, Isolation
from billfold_server.tenancy.service import Registry, Tenants
from billfold_server.tenancy.transaction import Database

__all__ = ["Opened", "open_database"]


class Opened(msgspec.Struct, frozen=True):
    """A database that is ready, and what works on it. ``close`` it at the end.

    Attributes:
        runtime_dsn: What further worker processes open it by; holds a password.
        database: The pools, with the tenant transaction.
        registry: Which tenants there are.
        tenants: What operators do.
        administrator: What needs an administrator's rights, where an administrator's URL was given.
    """

    runtime_dsn: str
    database: Database
    registry: Registry
    tenants: Tenants
    administrator: Administrator | None

    def __repr__(self) -> str:
        """Show no password."""
        return "Opened()"

    async def close(self) -> None:
        """Close every connection."""
        await self.database.close()


async def open_database(
    url: str,
    *,
    deployment_secret: bytes,
    admin_url: str | None = None,
    pools: PoolSettings | None = None,
    isolation: Isolation = "login",
) -> Opened:
    """Make a database ready, as far as the given URLs allow, and open it.

    An administrator's URL sets the database up, or finds that it is, and the server's own login follows from it. It
    may be given as ``url``, which is simple, or apart from the server's own as ``admin_url``, or not at all to a server
    that shall not be able to administer.

    Raises:
        DatabaseUnsuitable: PostgreSQL is too old, or the administrator lacks a right.
        errors.DatabaseUnavailable: The database can't be reached. With only the server's own URL nothing is asked of it
            until the first request, so that a server can start before its database does.
    """
    if admin_url is None and await _administers(url):
        admin_url = url
    administrator = None if admin_url is None else Administrator(admin_url, deployment_secret=deployment_secret)
    if administrator is not None:
        ready = await administrator.bootstrap()
        if admin_url == url:
            url = ready.runtime_dsn
    database = Database(url, deployment_secret=deployment_secret, settings=pools)
    registry = Registry(database)
    tenants = Tenants(database, administrator, registry, isolation=isolation)
    return Opened(url, database, registry, tenants, administrator)


async def _administers(url: str) -> bool:
    """Tell whether a URL is an administrator's: whether its role may create roles."""
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (*CONNECTION_LOST, TimeoutError) as error:
        raise unavailable() from error
    try:
        return bool(
            await connection.fetchval(
                "SELECT rolsuper OR rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user"
            )
        )
    finally:
        await connection.close(timeout=5)
