"""Tenants: found by slug or host, created, changed, suspended and deleted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from billfold import errors, ids
from billfold.contract.platform import TenantState
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.tenancy import migrations, partitions, queries
from billfold_server.tenancy.context import SYSTEM, Caller
from billfold_server.tenancy.manifest import Manifest, check_manifest
from billfold_server.tenancy.partitions import AHEAD, bounds, month_of, partition_name
from billfold_server.tenancy.provisioning import Administrator, Isolation
from billfold_server.tenancy.records import Applied, Change, Migrated, Owner, Partitioned, Record, read_record
from billfold_server.tenancy.registry import CACHE_S, Registry
from billfold_server.tenancy.rules import TRANSITIONS, Deployment
from billfold_server.tenancy.stored import read_stored, to_stored
from billfold_server.tenancy.transaction import Database, PlatformTx, Tx

__all__ = [
    "AHEAD",
    "CACHE_S",
    "Applied",
    "Migrated",
    "Owner",
    "Partitioned",
    "Record",
    "Registry",
    "Tenants",
    "bounds",
    "month_of",
    "partition_name",
]

# After this time no worker goes by what it knew before, and what had begun until then has ended or runs on a connection
# that it has already.
_FORGOTTEN_S = CACHE_S + 0.25

_PAGE = 100
_REASON_LENGTH = 2000


class Tenants:
    """What operators do with tenants. Every change stands in the platform's audit trail, with who made it.

    Args:
        database: The database as the server uses it.
        administrator: The administrator's hands, or None in a process that was given no administrator's URL; then
            tenants can be shown, suspended and resumed, and nothing else.
        registry: The process's own registry, which is told of changes at once.
        isolation: How a tenant is kept apart whose manifest doesn't say.
        forget_keys: Destroys the keys of a tenant that is deleted; is told who deletes it, and why.
    """

    def __init__(
        self,
        database: Database,
        administrator: Administrator | None,
        registry: Registry | None = None,
        *,
        isolation: Isolation = "login",
        forget_keys: Callable[[Record, Caller, str | None], Awaitable[None]] | None = None,
    ) -> None:
        self._forget_keys = forget_keys
        self._isolation: Isolation = isolation
        self._database = database
        self._admin = administrator
        self._registry = registry or Registry(database)

    async def apply(
        self,
        manifest: Manifest,
        *,
        owner: Owner | None = None,
        caller: Caller = SYSTEM,
        progress: Callable[[str], None] | None = None,
    ) -> Applied:
        """Create a tenant, or change it to what the manifest says; an unchanged one is left alone.

        The tenant's row comes first, in state ``provisioning``, then roles, schema and migrations, and ``active`` comes
        last. Whatever kills the process in between, applying again goes on from there.

        Args:
            manifest: What it is.
            owner: Whose sandbox it is made as. With it, a tenant that isn't this very sandbox is never touched.
            caller: Who asks for it.
            progress: Is told of each step.

        Raises:
            errors.TenantExists: A host belongs to another tenant, or the slug to one that isn't the owner's sandbox.
            errors.TenantStateRefuses: The tenant is being deleted.
            errors.ManifestInvalid: It says what can't be, as one might that was put together of others.
            errors.FeatureDisabled: This process has no administrator's URL.
        """
        admin, report = self._administrator(), progress or _silent
        isolation: Isolation = manifest.isolation or self._isolation
        # Nothing has checked what was put together in this process; no worker could read what isn't of its form.
        manifest = check_manifest(msgspec.structs.replace(manifest, isolation=isolation))
        deployment = await self._database.deployment()
        before = await self._find(manifest.slug)
        if before is not None:
            if owner is not None and before.owner != owner:
                raise _belongs_to_another()
            # The way that the new isolation needs is open before the workers are told to take it.
            await self._prepare(admin, deployment, before, isolation)
        record, change = await self._write(manifest, caller, owner)
        names = record.names(deployment)
        provisioned = await admin.provision(deployment, names, isolation, progress=report)
        record = await self._finish(record, provisioned.schema_version, caller)
        if provisioned.other_way_open:
            # The former isolation's way is closed once no worker takes it any longer.
            await asyncio.sleep(_FORGOTTEN_S)
            await admin.close_other_way(deployment, names, isolation)
        return Applied(record, change)

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

    async def list_tenants(self, *, after: str = "", limit: int = _PAGE) -> list[Record]:
        """Return tenants in order of slug, those after the given one."""
        async with self._database.platform_tx() as tx:
            return [read_record(row) for row in await tx.fetch(queries.TENANTS_AFTER_SLUG, after, limit)]

    async def suspend(self, slug: str, *, reason: str, caller: Caller = SYSTEM) -> Record:
        """Stop serving a tenant. Workers follow within ``CACHE_S``; its data stays as it is."""
        return await self._change_state(slug, "suspend", reason, caller)

    async def resume(self, slug: str, *, reason: str, caller: Caller = SYSTEM) -> Record:
        """Serve a suspended tenant again.

        Raises:
            errors.UnknownTenant: There is none with this slug.
            errors.TenantStateRefuses: It is being deleted, or all of its keys are or will be destroyed.
        """
        return await self._change_state(slug, "resume", reason, caller)

    async def delete(self, slug: str, *, confirm: str, reason: str | None = None, caller: Caller = SYSTEM) -> None:
        """Delete a tenant with all of its data and its partners' sandboxes, for good. It must be suspended first.

        Args:
            slug: Which one.
            confirm: The slug once more, so that nobody deletes a tenant by a slip.
            reason: Why, for the platform's own records.
            caller: Who asks for it.

        Raises:
            errors.ValidationFailed: The confirmation isn't the slug.
            errors.TenantStateRefuses: The tenant is active.
            errors.Busy: Something still uses its tables; deleting again goes on.
        """
        admin = self._administrator()
        if confirm != slug:
            msg = "the confirmation must be the tenant's slug"
            raise errors.ValidationFailed(msg, param="confirm")
        record = await self._change_state(slug, "delete", reason, caller)
        deployment = await self._database.deployment()
        names = record.names(deployment)
        for sandbox in await self.sandboxes_of(record.id):
            await self.remove_sandbox(sandbox, caller=caller)
        await admin.drop(names)
        if self._forget_keys is not None:
            # By now nobody can ask for a new one, and copies of the data that are kept elsewhere say nothing any more.
            await self._forget_keys(record, caller, reason)
        async with self._database.platform_tx() as tx:
            revision = await tx.fetchval(queries.NEXT_REVISION)
            await tx.execute(queries.DELETE_HOSTS, record.id)
            await tx.execute(queries.DELETE_SANDBOX, record.id)
            await tx.execute(queries.DELETE_TENANT, record.id)
            await tx.execute(queries.INSERT_DELETED, record.id, slug, reason, revision, _now())
            await _audit(tx, caller, "tenant.deleted", record.id, slug, reason=reason)
        self._registry.expire()
        self._database.pools.forget(names.runtime_role)

    # Sandboxes of partners, which are tenants like any other.

    async def sandbox_of(self, owner_id: UUID, sandbox_id: UUID) -> Record | None:
        """Return the tenant that is a certain sandbox of a tenant's partner; None where there is none (yet)."""
        async with self._database.platform_tx() as tx:
            row = await tx.fetchrow(queries.SANDBOX_OF, owner_id, sandbox_id)
        return None if row is None else read_record(row)

    async def sandboxes_of(self, owner_id: UUID, partner_id: UUID | None = None) -> list[Record]:
        """Return the tenants that are sandboxes of a tenant's partners, or of one of these."""
        async with self._database.platform_tx() as tx:
            return [read_record(row) for row in await tx.fetch(queries.SANDBOXES_OF, owner_id, partner_id)]

    async def close_sandbox(self, sandbox: Record, *, closed: bool, caller: Caller) -> None:
        """Serve a partner's sandbox no longer, or again; what operators have suspended themselves stays as it is."""
        if closed and sandbox.state is TenantState.ACTIVE:
            await self._change_state(sandbox.slug, "suspend", "its partner is suspended", caller, closed=True)
        elif not closed and sandbox.closed:
            await self._change_state(sandbox.slug, "resume", "its partner is let in again", caller, closed=False)

    async def stop_sandbox(self, sandbox: Record, *, caller: Caller) -> Record:
        """Serve a sandbox no longer that is about to be removed, and return what it is now."""
        return await self._change_state(sandbox.slug, "suspend", "it is about to be removed", caller, closed=True)

    async def remove_sandbox(self, sandbox: Record, *, caller: Caller) -> None:
        """Delete a partner's sandbox with all of its data. Doing it again goes on from where it was cut short.

        Raises:
            errors.FeatureDisabled: This process has no administrator's URL.
            errors.Busy: Something still uses its tables.
        """
        self._administrator()
        if sandbox.state is TenantState.ACTIVE:
            await self.stop_sandbox(sandbox, caller=caller)
            await asyncio.sleep(_FORGOTTEN_S)
        await self.delete(sandbox.slug, confirm=sandbox.slug, reason="its partner has removed it", caller=caller)

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
        progress: Callable[[Migrated], None] | None = None,
        caller: Caller = SYSTEM,
    ) -> list[Migrated]:
        """Bring the schemas of tenants up to date, several at a time; the months of their ledgers, too.

        A tenant that fails doesn't hold the others up; run again, and those that are done are passed over.

        Args:
            slugs: Which ones; all of them where absent.
            concurrency: How many at a time; each takes one connection of the administrator's.
            progress: Called as each tenant is done.
            caller: Who asks for it.

        Raises:
            errors.UnknownTenant: There is no tenant with one of these slugs.
        """
        admin = self._administrator()
        records = [await self.get(slug) for slug in slugs] if slugs is not None else await self.everyone()
        deployment, turn = await self._database.deployment(), asyncio.Semaphore(concurrency)

        schemas = [record.names(deployment).schema for record in records]
        lacking = await admin.schemas_without_months(schemas)

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
            month = partitions.next_month(partitions.month_of(_now()))
            lacking = await partitions.schemas_lacking(tx, list(schemas), [month])
        return sorted(schemas[schema] for schema in lacking)

    async def slugs_with_schema(self) -> list[str]:
        """Return the slugs of tenants that have a ledger."""
        return [each.slug for each in await self.everyone() if _has_schema(each)]

    async def _with_schema(self, slug: str) -> Record:
        record = await self.get(slug)
        if not _has_schema(record):
            msg = f"a tenant that is {record.state} can't be migrated"
            raise errors.TenantStateRefuses(msg, state=record.state.value)
        return record

    async def _migrate_one(
        self, admin: Administrator, deployment: Deployment, record: Record, caller: Caller, *, late: bool
    ) -> Migrated:
        if record.schema_version == migrations.newest("tenant") and not late:
            return Migrated(record.slug, record.schema_version)
        try:
            version = await admin.migrate(record.names(deployment))
            if version != record.schema_version:
                await self._set_version(record, version, caller)
        except (errors.ProblemError, asyncpg.PostgresError) as error:
            return Migrated(record.slug, record.schema_version, str(error))
        return Migrated(record.slug, version)

    async def everyone(self) -> list[Record]:
        """Return every tenant, in order of slug."""
        records: list[Record] = []
        while page := await self.list_tenants(after=records[-1].slug if records else ""):
            records += page
        return records

    async def _write(self, manifest: Manifest, caller: Caller, owner: Owner | None = None) -> tuple[Record, Change]:
        """Write what the manifest says into the registry."""
        text = to_stored(manifest)
        async with self._database.platform_tx() as tx:
            revision = await tx.fetchval(queries.NEXT_REVISION)
            row = await tx.fetchrow(queries.TENANT_BY_SLUG, manifest.slug)
            tenant_id = ids.uuid7() if row is None else row["id"]
            await _claim_hosts(tx, tenant_id, manifest.hosts)
            if owner is not None:
                await _check_owner(tx, row, owner)
            change: Change = "unchanged"
            if row is None:
                change = "created"
                await tx.execute(queries.INSERT_TENANT, tenant_id, manifest.slug, text, revision, _now())
                if owner is not None:
                    await tx.execute(queries.INSERT_SANDBOX, tenant_id, *msgspec.structs.astuple(owner))
            elif row["state"] == TenantState.DELETING:
                msg = "the tenant is being deleted"
                raise errors.TenantStateRefuses(msg, state=row["state"])
            elif _differences(row["manifest"], manifest):
                change = "changed"
                await tx.execute(queries.UPDATE_MANIFEST, tenant_id, text, revision, _now())
            await tx.execute(queries.DELETE_HOSTS, tenant_id)
            await tx.execute(queries.INSERT_HOSTS, manifest.hosts, tenant_id)
            written = await tx.fetchrow(queries.TENANT_BY_SLUG, manifest.slug)
            if change != "unchanged":
                fields = _differences(None if row is None else row["manifest"], manifest)
                await _audit(tx, caller, f"tenant.{change}", tenant_id, manifest.slug, fields=fields)
        self._registry.expire()
        return read_record(written), change

    async def _finish(self, record: Record, version: str | None, caller: Caller) -> Record:
        if record.state is TenantState.PROVISIONING or record.schema_version != version:
            await self._set_version(record, version, caller)
        if record.state is TenantState.PROVISIONING:
            return await self._change_state(record.slug, "finish", None, caller)
        return await self.get(record.slug)

    async def _set_version(self, record: Record, version: str | None, caller: Caller) -> None:
        async with self._database.platform_tx() as tx:
            revision = await tx.fetchval(queries.NEXT_REVISION)
            await tx.execute(queries.UPDATE_VERSION, record.id, version, revision, _now())
            await _audit(tx, caller, "tenant.migrated", record.id, record.slug, schema_version=version)
        self._registry.expire()

    async def _change_state(
        self, slug: str, event: str, reason: str | None, caller: Caller, *, closed: bool | None = None
    ) -> Record:
        async with self._database.platform_tx() as tx:
            revision = await tx.fetchval(queries.NEXT_REVISION)
            row = await tx.fetchrow(queries.TENANT_BY_SLUG, slug)
            if row is None:
                msg = "there is no tenant with this slug"
                raise errors.UnknownTenant(msg)
            if closed is not None and not (row["state"] == TenantState.ACTIVE if closed else row["closed"]):
                # Operators have suspended it, or it isn't closed: neither is ours to change.
                return read_record(row)
            target = TRANSITIONS.get((TenantState(row["state"]), event))
            if target is None:
                msg = f"a tenant that is {row['state']} can't be told to {event}"
                raise errors.TenantStateRefuses(msg, state=row["state"])
            await tx.execute(queries.UPDATE_STATE, row["id"], target.value, reason, revision, _now())
            # By now we have the tenant's row, which whoever approves a destruction of its keys takes first.
            if event == "resume" and await tx.fetchval(queries.KEYS_ARE_DOOMED, row["id"], _now()):
                msg = "the destruction of all of the tenant's keys was asked for, or is done"
                raise errors.TenantStateRefuses(msg, state=row["state"])
            if event in {"suspend", "resume"}:
                # What operators say themselves doesn't end with what the partner's sandbox was closed for.
                await tx.execute(queries.MARK_CLOSED, row["id"], bool(closed))
            changed = await tx.fetchrow(queries.TENANT_BY_SLUG, slug)
            await _audit(tx, caller, f"tenant.{target.value}", row["id"], slug, reason=reason, before=row["state"])
        self._registry.expire()
        return read_record(changed)

    async def _find(self, slug: str) -> Record | None:
        async with self._database.platform_tx() as tx:
            row = await tx.fetchrow(queries.TENANT_BY_SLUG, slug)
        return None if row is None else read_record(row)

    async def _prepare(
        self, admin: Administrator, deployment: Deployment, before: Record, isolation: Isolation
    ) -> None:
        if before.state is not TenantState.DELETING and before.isolation != isolation:
            await admin.open_way(deployment, before.names(deployment), isolation)

    def _administrator(self) -> Administrator:
        if self._admin is None:
            msg = (
                "this process was given no administrator's database URL, so it can't create, migrate or delete tenants"
            )
            raise errors.FeatureDisabled(msg, feature="tenant_administration")
        return self._admin


async def _claim_hosts(tx: PlatformTx, tenant_id: UUID, hosts: Sequence[str]) -> None:
    taken = await tx.fetch(queries.HOSTS_OF_OTHERS, list(hosts), tenant_id)
    if taken:
        msg = f"the host {taken[0]['host']} belongs to another tenant"
        raise errors.TenantExists(msg, param="hosts")


async def _check_owner(tx: PlatformTx, row: Any, owner: Owner) -> None:
    """See that a tenant is a certain sandbox, or that the slug is free and its owner there to have one."""
    if row is None:
        state = await tx.fetchval(queries.STATE, owner.tenant_id)
        if state != TenantState.ACTIVE:
            msg = "the tenant whose partner it would belong to isn't served"
            raise errors.TenantStateRefuses(msg, state=str(state))
    elif read_record(row).owner != owner:
        raise _belongs_to_another()


def _belongs_to_another() -> errors.TenantExists:
    return errors.TenantExists("the slug belongs to another tenant", param="slug")


async def _audit(
    tx: PlatformTx,
    caller: Caller,
    action: str,
    tenant_id: UUID,
    slug: str,
    *,
    reason: str | None = None,
    **facts: object,
) -> None:
    object_id = ids.encode(Prefix.TENANT, tenant_id)
    # On the command line a reason may be of any length; the tenant's row keeps all of it.
    reason = (reason or "")[:_REASON_LENGTH] or None
    record = audit.new_record(caller, action, object_id, reason=reason, facts={"slug": slug, **facts})
    await audit.record(tx, record)


def _differences(before: str | None, after: Manifest) -> list[str]:
    """Return the keys of the manifest that are not as they were; all of them where it can't be read how they were."""
    try:
        old = None if before is None else read_stored(before)
    except msgspec.MsgspecError:
        old = None
    return sorted(
        name for name in Manifest.__struct_fields__ if old is None or getattr(old, name) != getattr(after, name)
    )


def _has_schema(record: Record) -> bool:
    return record.state in {TenantState.ACTIVE, TenantState.SUSPENDED}


def _now() -> datetime:
    return datetime.now(UTC)


def _silent(_: str) -> None:
    """Report to nobody."""
