"""Fixtures: a database of its own for each test, set up for Billfold, with one tenant in it.

``tenancy`` is what a test of a room wants::

    async def test_something(tenancy: Tenancy) -> None:
        async with tenancy.database.tx(tenancy.tenant) as tx:
            ...

The database is a copy of a template that was migrated once per run, which takes some 50 ms. What a server finds out
about it when it starts is the same for all copies, so the first of a process is asked.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.manifest import Manifest, parse_manifest
from billfold_server.tenancy.provisioning import Administrator, Bootstrapped
from billfold_server.tenancy.roles import guarding
from billfold_server.tenancy.service import Owner, Registry, Tenants
from billfold_server.tenancy.transaction import Database
from tests.postgres import copying, in_own_loop, template_database

SECRET = b"a secret of the tests, which is long enough"

T = TypeVar("T")
Administer = Callable[[str], object]


class Tenancy(msgspec.Struct):
    """A database of a test's own.

    Attributes:
        admin_dsn: The administrator's way in.
        runtime_dsn: The server's way in.
        database: The server's pools.
        administrator: The administrator's hands.
        tenants: What operators do.
        registry: What workers know.
        tenant: A tenant that is provisioned and active, isolated by role, a sandbox.
    """

    admin_dsn: str
    runtime_dsn: str
    database: Database
    administrator: Administrator
    tenants: Tenants
    registry: Registry
    tenant: TenantRef

    async def add(self, slug: str, **changes: object) -> TenantRef:
        """Provision a further tenant."""
        await self.tenants.apply(manifest(slug, **changes))
        return await self.registry.get(slug)

    async def add_with_sandboxes(self, slug: str, number: int) -> TenantRef:
        """Provision a bank with so many sandboxes of a partner of its own, which are called ``<slug>-0`` and so on."""
        bank = await self.add(slug)
        for each in range(number):
            owner = Owner(tenant_id=bank.id, partner_id=UUID(int=1), sandbox_id=UUID(int=each))
            await self.tenants.apply(manifest(f"{slug}-{each}"), owner=owner)
        return bank

    async def doom(self, slug: str) -> None:
        """Suspend a tenant, and ask for its deletion, which nobody carries out yet."""
        await self.tenants.suspend(slug, reason="test")
        await self.tenants.ask_to_delete(slug, confirm=slug)

    async def as_owner(self, tenant: TenantRef, *statements: str) -> None:
        """Run SQL as the owner of a tenant's tables, with search path, as a migration would."""
        connection = await asyncpg.connect(self.admin_dsn)
        try:
            await connection.execute(f"SET ROLE {tenant.owner_role}; SET search_path TO {tenant.schema}")
            for statement in statements:
                await connection.execute(statement.replace("{runtime}", tenant.runtime_role))
        finally:
            await connection.close()


def manifest(slug: str, **changes: object) -> Manifest:
    """Return the manifest of a tenant for tests: a sandbox in EUR, USD and JPY, isolated by role."""
    return parse_manifest(
        {
            "slug": slug,
            "name": slug.replace("_", " ").title(),
            "brand": {"display_name": slug},
            "currencies": ["EUR", "USD", "JPY"],
            "isolation": "role",
            "sandbox": True,
            "security_profile": "sandbox",
            "features": ["statements"],
            "numbering": {"sort_codes": ["040004"], "iban_prefixes": ["DE50010517"]},
            **changes,
        }
    )


def in_database(dsn: str, name: str) -> str:
    """Return the DSN of another database of the same cluster."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def tenancy_template(postgres: EmbeddedPostgres) -> str:
    """Return the name of a database with one migrated tenant, which all processes of the run share."""
    return template_database(postgres, "tenancy", fill_template)


def template_with(postgres: EmbeddedPostgres, template: str, name: str, *further: Manifest) -> str:
    """Return the name of a copy of the template that has further tenants, which all processes of the run share.

    For files whose tests would all begin with the same tenant: its schema takes a third of a second to make, and a
    hundredth to copy. Roles are the cluster's, so tests that change or drop a tenant's make it themselves.

    Args:
        postgres: The shared cluster.
        template: ``tenancy_template``.
        name: What the copy is called; one name stands for the same tenants.
        further: What the tenants are.
    """

    async def fill(dsn: str) -> None:
        opened = await open_tenancy(dsn)
        try:
            for each in further:
                await opened.tenants.apply(each)
        finally:
            await opened.database.close()

    return template_database(postgres, name, fill, template=template)


@pytest.fixture(scope="session")
def administer(postgres_dsn: str) -> Iterator[Administer]:
    """Return what runs the administrator's SQL on one connection, which outlives the event loops of tests."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        runner = asyncio.Runner()

        def run(work: Coroutine[Any, Any, T]) -> T:
            return thread.submit(runner.run, work).result()

        connection = run(asyncpg.connect(postgres_dsn))
        yield lambda sql: run(connection.execute(sql))
        run(connection.close())
        thread.submit(runner.close).result()


@pytest.fixture(scope="session")
def tenancy_deployment(postgres_dsn: str, administer: Administer, tenancy_template: str) -> Bootstrapped:
    """Return what a server finds in a copy of the template."""
    name = f"test_{secrets.token_hex(6)}"
    administer(copying(name, tenancy_template))
    try:
        return in_own_loop(Administrator(in_database(postgres_dsn, name), deployment_secret=SECRET).bootstrap())
    finally:
        administer(f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def tenancy(
    postgres_dsn: str, administer: Administer, tenancy_template: str, tenancy_deployment: Bootstrapped
) -> AsyncIterator[Tenancy]:
    """Copy the template, and open it as a server would."""
    name = f"test_{secrets.token_hex(6)}"
    administer(copying(name, tenancy_template))
    # All that a copy doesn't inherit.
    for statements in guarding(name, tenancy_deployment.deployment):
        administer(statements)
    ready = msgspec.structs.replace(tenancy_deployment, runtime_dsn=in_database(tenancy_deployment.runtime_dsn, name))
    opened = await open_tenancy(in_database(postgres_dsn, name), ready=ready)
    try:
        yield opened
    finally:
        await opened.database.close()
        administer(f"DROP DATABASE {name} WITH (FORCE)")


async def open_tenancy(admin_dsn: str, *, slug: str = "testbank", ready: Bootstrapped | None = None) -> Tenancy:
    """Open a database that has the template's tenant, and is made ready first unless somebody has seen to that."""
    administrator = Administrator(admin_dsn, deployment_secret=SECRET)
    ready = ready or await administrator.bootstrap()
    database = Database(ready.runtime_dsn, deployment_secret=SECRET)
    registry = Registry(database)
    return Tenancy(
        admin_dsn=admin_dsn,
        runtime_dsn=ready.runtime_dsn,
        database=database,
        administrator=administrator,
        tenants=Tenants(database, administrator, registry),
        registry=registry,
        tenant=await registry.get(slug),
    )


async def fill_template(dsn: str) -> None:
    """Set an empty database up for Billfold, with one migrated tenant: ``testbank``."""
    administrator = Administrator(dsn, deployment_secret=SECRET)
    database = Database((await administrator.bootstrap()).runtime_dsn, deployment_secret=SECRET)
    try:
        await Tenants(database, administrator).apply(manifest("testbank"))
    finally:
        await database.close()
