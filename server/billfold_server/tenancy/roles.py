"""The roles of a deployment and of its tenants in PostgreSQL: which there are, and who may become which."""

from typing import Literal, TypeAlias

import asyncpg

from billfold_server.tenancy.rules import Deployment, TenantNames, quoted

__all__ = [
    "AdminConnection",
    "Isolation",
    "admit",
    "can_login",
    "create_role",
    "guard_database",
    "guarding",
    "is_member",
    "logins",
    "other_way_is_open",
]

AdminConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""A connection of the administrator's."""
Isolation = Literal["role", "login"]
"""How the server reaches a tenant's tables: as a role that it may become, or by a login of the tenant's own."""


async def create_role(connection: AdminConnection, role: str) -> None:
    """Make a role that inherits nothing but may be given something, and let the administrator become it."""
    if await connection.fetchval("SELECT to_regrole($1) IS NULL", role):
        await connection.execute(f"CREATE ROLE {quoted(role)} NOLOGIN; ALTER ROLE {quoted(role)} SET search_path TO ''")
    if not await connection.fetchval("SELECT pg_has_role(current_user, $1, 'SET')", role):
        await connection.execute(f"GRANT {quoted(role)} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE")


async def is_member(connection: AdminConnection, member: str, role: str) -> bool:
    """Tell whether one role may become another, or inherits from it."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_auth_members "
            "WHERE member = to_regrole($1) AND roleid = to_regrole($2))",
            member,
            role,
        )
    )


async def can_login(connection: AdminConnection, role: str) -> bool:
    """Tell whether a role is a login."""
    return bool(await connection.fetchval("SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = $1", role))


async def logins(connection: AdminConnection, deployment: Deployment) -> list[str]:
    """Return the names of a deployment's logins, in order."""
    rows = await connection.fetch(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolcanlogin AND starts_with(rolname, $1) ORDER BY rolname",
        f"bf_{deployment.id}_",
    )
    return [row["rolname"] for row in rows]


async def admit(connection: AdminConnection, deployment: Deployment, login: str) -> None:
    """Let a login connect to the database."""
    if not await is_member(connection, login, deployment.guest_role):
        await connection.execute(
            f"GRANT {quoted(deployment.guest_role)} TO {quoted(login)} WITH INHERIT TRUE, SET FALSE"
        )


async def guard_database(connection: AdminConnection, deployment: Deployment) -> None:
    """Let the deployment's roles into the database, and nobody else.

    PostgreSQL lets every login of the cluster connect to every database, and make temporary tables in it. Only the
    database's owner can end that. A copy of a database doesn't inherit the privileges on the database itself, so this
    is done at each start; a role stands between the logins and the database, because two sessions can't change a
    database's privileges at a time.
    """
    await create_role(connection, deployment.guest_role)
    for login in await logins(connection, deployment):
        await admit(connection, deployment, login)
    may_create, guarded = guarding(await connection.fetchval("SELECT quote_ident(current_database())"), deployment)
    await connection.execute(may_create)
    if await connection.fetchval(
        "SELECT pg_has_role(current_user, datdba, 'USAGE') FROM pg_catalog.pg_database "
        "WHERE datname = current_database()"
    ):
        await connection.execute(guarded)


def guarding(database: str, deployment: Deployment) -> tuple[str, str]:
    """Return the SQL that lets schemas be made in a database, and the SQL by which its owner guards it.

    Args:
        database: Its name, quoted where SQL asks for it.
        deployment: Whose database it is.
    """
    creator, guest = quoted(deployment.creator_role), quoted(deployment.guest_role)
    return f"GRANT CREATE ON DATABASE {database} TO {creator}", (
        f"GRANT CONNECT ON DATABASE {database} TO {guest}; REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC"
    )


async def other_way_is_open(
    connection: AdminConnection, deployment: Deployment, names: TenantNames, isolation: Isolation
) -> bool:
    """Tell whether a way to the tenant's roles is open that its isolation doesn't ask for."""
    if isolation == "login":
        return await is_member(connection, deployment.app_login, names.runtime_role)
    return await can_login(connection, names.runtime_role)
