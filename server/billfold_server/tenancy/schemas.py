"""Tenants as the registry has them, and their schemas, which are brought up to date."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.tenancy import migrations, partitions, queries
from billfold_server.tenancy.context import SYSTEM, WITH_SCHEMA, Caller, TenantRef
from billfold_server.tenancy.partitions import AHEAD
from billfold_server.tenancy.provisioning import Administrator
from billfold_server.tenancy.records import Migrated, Partitioned, Record, read_record, without_schema
from billfold_server.tenancy.registry import Registry
from billfold_server.tenancy.rules import Deployment
from billfold_server.tenancy.transaction import Database, PlatformTx, TenantTx, Tx

__all__ = ["PAGE", "Schemas", "note", "now"]

PAGE = 100
"""How many tenants are read at once."""
_REASON_LENGTH = 2000


class Schemas:
    """The tenants that there are, and what is done with their schemas.

    Args:
        database: The database as the server uses it.
        administrator: The administrator's hands, or None in a process that was given no administrator's URL.
        registry: The process's own registry, which is told of changes at once.
    """

    def __init__(
        self, database: Database, administrator: Administrator | None, registry: Registry | None = None
    ) -> None:
        self._database = database
        self._admin = administrator
        self._registry = registry or Registry(database)

    async def get(self, slug: str) -> Record:
        """Return a tenant.

        Raises:
            errors.UnknownTenant: There is none with this slug.
        """
        found = await self._find(slug)
        if found is None:
            msg = "there is no tenant with this slug"
            raise errors.UnknownTenant(msg)
        return found

    async def list_tenants(self, *, after: str = "", limit: int = PAGE) -> list[Record]:
        """Return tenants in order of slug, those after the given one."""
        async with self._database.platform_tx() as tx:
            return [read_record(row) for row in await tx.fetch(queries.TENANTS_AFTER_SLUG, after, limit)]

    async def everyone(self) -> list[Record]:
        """Return every tenant, in order of slug."""
        records: list[Record] = []
        while page := await self.list_tenants(after=records[-1].slug if records else ""):
            records += page
        return records

    @property
    def may_administer(self) -> bool:
        """Whether this process can create, migrate and delete tenants."""
        return self._admin is not None

    def exclusively(self, name: str) -> AbstractAsyncContextManager[None]:
        """Let one process at a time do a kind of work; another one waits for its turn.

        Raises:
            errors.FeatureDisabled: This process has no administrator's URL.
        """
        return self._administrator().exclusively(name)

    async def migrate(
        self,
        slugs: Sequence[str] | None = None,
        *,
        concurrency: int = 4,
        ahead: int = AHEAD,
        progress: Callable[[Migrated], None] | None = None,
        caller: Caller = SYSTEM,
    ) -> list[Migrated]:
        """Bring the schemas of tenants up to date, several at a time; the months of their ledgers, too.

        A tenant that fails doesn't hold the others up; run again, and those that are done are passed over.

        Args:
            slugs: Which ones; all of them where absent.
            concurrency: How many at a time; each takes one connection of the administrator's.
            ahead: A ledger that has this month and so many more is passed over.
            progress: Called as each tenant is done.
            caller: Who asks for it.

        Raises:
            errors.UnknownTenant: There is no tenant with one of these slugs.
            errors.TenantStateRefuses: One of these isn't provisioned, or is being deleted.
        """
        admin = self._administrator()
        records = [await self._with_schema(slug) for slug in slugs] if slugs is not None else await self.everyone()
        deployment, turn = await self._database.deployment(), asyncio.Semaphore(concurrency)

        schemas = [record.names(deployment).schema for record in records]
        lacking = await admin.schemas_without_months(schemas, ahead=ahead)

        async def one(record: Record) -> Migrated:
            async with turn:
                late = record.names(deployment).schema in lacking
                result = await self._migrate_one(admin, deployment, record, caller, late=late)
            if progress is not None:
                progress(result)
            return result

        async with admin.exclusively("migrate"):
            return list(await asyncio.gather(*(one(record) for record in records if _has_schema(record))))

    async def migrate_tenant(self, slug: str, *, caller: Caller = SYSTEM) -> Record:
        """Bring one tenant's schema up to date.

        Raises:
            errors.UnknownTenant: There is none with this slug.
            errors.TenantStateRefuses: It isn't provisioned, or is being deleted.
            errors.Busy: A lock wasn't to be had; migrating again goes on.
        """
        admin = self._administrator()
        record = await self._with_schema(slug)
        deployment = await self._database.deployment()
        await self._set_version(record, await admin.migrate(record.names(deployment)), caller)
        return await self.get(slug)

    async def opened(self, slug: str) -> TenantRef:
        """Return what opens the transactions of a tenant that has a schema, whether or not it is suspended.

        Raises:
            errors.UnknownTenant: There is none with this slug.
            errors.TenantStateRefuses: It isn't provisioned, or is being deleted.
            errors.TenantUnreadable: This version can't read what is stored of it.
        """
        return (await self._with_schema(slug)).ref(await self._database.deployment())

    @asynccontextmanager
    async def tx(self, slug: str) -> AsyncIterator[TenantTx]:
        """Open a transaction of a tenant that has a schema, whether or not it is suspended.

        Raises:
            errors.UnknownTenant: There is none with this slug.
            errors.TenantStateRefuses: It isn't provisioned, or is being deleted.
            errors.TenantUnreadable: This version can't read what is stored of it.
        """
        async with self._database.tx(await self.opened(slug)) as tx:
            yield tx

    async def partition(self, slug: str, *, ahead: int = AHEAD) -> Partitioned:
        """Make the months of a tenant's ledger that are missing, and tell what there is of each.

        Raises:
            errors.UnknownTenant: There is none with this slug.
            errors.TenantStateRefuses: It isn't provisioned, or is being deleted.
            errors.Busy: A lock wasn't to be had; doing it again goes on.
        """
        admin = self._administrator()
        record = await self._with_schema(slug)
        made, found = await admin.partition(record.names(await self._database.deployment()), ahead=ahead)
        return Partitioned(slug, [f"{month:%Y-%m}" for month in made], found)

    @asynccontextmanager
    async def as_owner(self, slug: str) -> AsyncIterator[Tx]:
        """Open a transaction as the owner of a tenant's tables, who may do with them what the server may not.

        Raises:
            errors.UnknownTenant: There is none with this slug.
            errors.TenantStateRefuses: It isn't provisioned, or is being deleted.
            errors.Busy: A lock wasn't to be had; nothing has changed.
        """
        admin = self._administrator()
        record = await self._with_schema(slug)
        async with admin.owner_tx(record.names(await self._database.deployment())) as tx:
            yield tx

    async def without_next_month(self) -> list[str]:
        """Return the slugs of tenants whose ledger has no partitions for the next month."""
        records = [each for each in await self.everyone() if _has_schema(each)]
        deployment = await self._database.deployment()
        schemas = {record.names(deployment).schema: record.slug for record in records}
        async with self._database.platform_tx() as tx:
            month = partitions.next_month(partitions.month_of(now()))
            lacking = await partitions.schemas_lacking(tx, list(schemas), [month])
        return sorted(schemas[schema] for schema in lacking)

    async def slugs_with_schema(self) -> list[str]:
        """Return the slugs of tenants that have a ledger."""
        return [each.slug for each in await self.everyone() if _has_schema(each)]

    async def _find(self, slug: str) -> Record | None:
        async with self._database.platform_tx() as tx:
            row = await tx.fetchrow(queries.TENANT_BY_SLUG, slug)
        return None if row is None else read_record(row)

    async def _with_schema(self, slug: str) -> Record:
        record = await self.get(slug)
        if not _has_schema(record):
            raise without_schema(record.state)
        return record

    async def _migrate_one(
        self, admin: Administrator, deployment: Deployment, record: Record, caller: Caller, *, late: bool
    ) -> Migrated:
        if not migrations.is_behind("tenant", record.schema_version) and not late:
            return Migrated(record.slug, record.schema_version)
        try:
            version = await admin.migrate(record.names(deployment))
            if version != record.schema_version:
                await self._set_version(record, version, caller)
        except (errors.ProblemError, asyncpg.PostgresError) as error:
            return Migrated(record.slug, record.schema_version, str(error))
        return Migrated(record.slug, version)

    async def _set_version(self, record: Record, version: str | None, caller: Caller) -> None:
        async with self._database.platform_tx() as tx:
            revision = await tx.fetchval(queries.NEXT_REVISION)
            await tx.execute(queries.UPDATE_VERSION, record.id, version, revision, now())
            await note(tx, caller, "tenant.migrated", record.id, record.slug, schema_version=version)
        self._registry.expire()

    def _administrator(self) -> Administrator:
        if self._admin is None:
            msg = (
                "this process was given no administrator's database URL, so it can't create, migrate or delete tenants"
            )
            raise errors.FeatureDisabled(msg, feature="tenant_administration")
        return self._admin


async def note(
    tx: PlatformTx,
    caller: Caller,
    action: str,
    tenant_id: UUID,
    slug: str,
    *,
    reason: str | None = None,
    **facts: object,
) -> None:
    """Tell the platform's audit of something that was done with a tenant."""
    object_id = ids.encode(Prefix.TENANT, tenant_id)
    # On the command line a reason may be of any length; the tenant's row keeps all of it.
    reason = (reason or "")[:_REASON_LENGTH] or None
    record = audit.new_record(caller, action, object_id, reason=reason, facts={"slug": slug, **facts})
    await audit.record(tx, record)


def _has_schema(record: Record) -> bool:
    return record.state in WITH_SCHEMA


def now() -> datetime:
    """Return the real time."""
    return datetime.now(UTC)
