"""Tenants: found by slug or host, created, changed, suspended and deleted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.platform import TenantState
from billfold_server.tenancy import queries
from billfold_server.tenancy.context import SYSTEM, Caller
from billfold_server.tenancy.manifest import Manifest, check_manifest
from billfold_server.tenancy.migrations import newer as newer_migrations
from billfold_server.tenancy.partitions import (
    AHEAD,
    AT_FIRST,
    bounds,
    detached_months,
    let_erase,
    month_of,
    partition_name,
)
from billfold_server.tenancy.provisioning import Administrator
from billfold_server.tenancy.records import Applied, Change, Migrated, Owner, Partitioned, Record, read_record
from billfold_server.tenancy.registry import CACHE_S, Registry
from billfold_server.tenancy.roles import Isolation
from billfold_server.tenancy.rules import TRANSITIONS, Deployment
from billfold_server.tenancy.schemas import PAGE, Schemas, note, now
from billfold_server.tenancy.stored import read_stored, to_stored
from billfold_server.tenancy.transaction import Database, PlatformTx

__all__ = [
    "AHEAD",
    "AT_FIRST",
    "CACHE_S",
    "Applied",
    "EndingKeys",
    "Migrated",
    "Owner",
    "Partitioned",
    "Record",
    "Registry",
    "Tenants",
    "bounds",
    "detached_months",
    "let_erase",
    "month_of",
    "newer_migrations",
    "partition_name",
]

# After this time no worker goes by what it knew before, and what had begun until then has ended or runs on a connection
# that it has already.
_FORGOTTEN_S = CACHE_S + 0.25

_STATES = frozenset(each.value for each in TenantState)


class EndingKeys(Protocol):
    """What becomes of the keys of a tenant that is deleted."""

    async def ask(self, tx: PlatformTx, tenant: Record, caller: Caller, reason: str | None) -> None:
        """Ask for what nobody may do alone, in the transaction in which somebody asks for the deletion."""

    async def forget(self, tenant: Record) -> None:
        """Destroy what one may; doing it again does no harm."""


class Tenants(Schemas):
    """What operators do with tenants. Every change stands in the platform's audit trail, with who made it.

    Args:
        database: The database as the server uses it.
        administrator: The administrator's hands, or None in a process that was given no administrator's URL; then
            tenants can be shown, suspended and resumed, and nothing else.
        registry: The process's own registry, which is told of changes at once.
        isolation: How a tenant is kept apart whose manifest doesn't say.
        keys: What becomes of the keys of a tenant that is deleted.

    Attributes:
        asked_to_delete: Is set where this process was asked to delete a tenant.
    """

    def __init__(
        self,
        database: Database,
        administrator: Administrator | None,
        registry: Registry | None = None,
        *,
        isolation: Isolation = "login",
        keys: EndingKeys | None = None,
    ) -> None:
        super().__init__(database, administrator, registry)
        self.asked_to_delete = asyncio.Event()
        self._keys = keys
        self._isolation: Isolation = isolation
        self._follow_resumed: Callable[[Record], Awaitable[None]] | None = None

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
            errors.TenantStateRefuses: The tenant is being deleted, or was meanwhile.
            errors.ManifestInvalid: It says what can't be, as one might that was put together of others; or it makes a
                sandbox of what was none, or the other way round.
            errors.FeatureDisabled: This process has no administrator's URL.
        """
        admin, report = self._administrator(), progress or _silent
        isolation: Isolation = manifest.isolation or self._isolation
        # Nothing has checked what was put together in this process; no worker could read what isn't of its form.
        manifest = check_manifest(msgspec.structs.replace(manifest, isolation=isolation))
        deployment = await self._database.deployment()
        before, opened = await self._find(manifest.slug), False
        if before is not None:
            if owner is not None and before.owner != owner:
                raise _belongs_to_another()
            # The way that the new isolation needs is open before the workers are told to take it.
            opened = await self._prepare(admin, deployment, before, isolation)
        try:
            record, change = await self._write(manifest, caller, owner)
        except errors.ProblemError:
            if opened and before is not None:
                await self._close_other_way(admin, deployment, before)
            raise
        names = record.names(deployment)
        check = partial(self._check_not_deleted, record)
        provisioned = await admin.provision(deployment, names, isolation, check=check, progress=report)
        record = await self._finish(record, provisioned.schema_version, caller)
        if provisioned.other_way_open:
            # The former isolation's way is closed once no worker takes it any longer.
            await asyncio.sleep(_FORGOTTEN_S)
            # Somebody may meanwhile have changed it back, and closes the other one then.
            await self._close_other_way(admin, deployment, record, only=isolation)
        return Applied(record, change)

    async def suspend(self, slug: str, *, reason: str, caller: Caller = SYSTEM) -> Record:
        """Stop serving a tenant. Workers follow within ``CACHE_S``; its data stays as it is."""
        return await self._change_state(slug, "suspend", reason, caller)

    async def resume(self, slug: str, *, reason: str, caller: Caller = SYSTEM) -> Record:
        """Serve a suspended tenant again; a partner's sandbox once its partner is let in, where that isn't.

        Raises:
            errors.UnknownTenant: There is none with this slug.
            errors.TenantStateRefuses: It is being deleted, or all of its keys are or will be destroyed.
        """
        record = await self._change_state(slug, "resume", reason, caller)
        if record.owner is None or self._follow_resumed is None:
            return record
        await self._follow_resumed(record)
        return await self.get(slug)

    def when_resumed(self, follow: Callable[[Record], Awaitable[None]]) -> None:
        """Have another room follow where operators have resumed a partner's sandbox."""
        self._follow_resumed = follow

    async def delete(self, slug: str, *, confirm: str, reason: str | None = None, caller: Caller = SYSTEM) -> None:
        """Delete a tenant with all of its data and its partners' sandboxes, for good, and return once it is gone.

        Arguments and errors are those of ``ask_to_delete`` and ``carry_out_deletion``.
        """
        await self._doom(slug, confirm, reason, caller)
        await self.carry_out_deletion(slug, caller=caller)

    async def ask_to_delete(
        self, slug: str, *, confirm: str, reason: str | None = None, caller: Caller = SYSTEM
    ) -> Record:
        """Write down that a tenant is to be deleted, which nobody takes back. It must be suspended first.

        From then on it is in state ``deleting``, and any process with an administrator's hands deletes it, whoever is
        killed in between.

        Args:
            slug: Which one.
            confirm: The slug once more, so that nobody deletes a tenant by a slip.
            reason: Why, for the platform's own records.
            caller: Who asks for it.

        Raises:
            errors.UnknownTenant: There is none with this slug.
            errors.ValidationFailed: The confirmation isn't the slug.
            errors.TenantStateRefuses: The tenant is active.
            errors.FeatureDisabled: This process has no administrator's URL.
        """
        record = await self._doom(slug, confirm, reason, caller)
        self.asked_to_delete.set()
        return record

    async def _doom(self, slug: str, confirm: str, reason: str | None, caller: Caller) -> Record:
        self._administrator()
        if confirm != slug:
            msg = "the confirmation must be the tenant's slug"
            raise errors.ValidationFailed(msg, param="confirm")
        return await self._change_state(slug, "delete", reason, caller)

    async def list_deleting(self, *, after: str = "") -> list[str]:
        """Return a page of slugs of tenants that are to be deleted, those after the given one."""
        async with self._database.platform_tx() as tx:
            return [row["slug"] for row in await tx.fetch(queries.DELETING, after, PAGE)]

    async def carry_out_deletion(self, slug: str, *, wait: bool = True, caller: Caller = SYSTEM) -> bool:
        """Delete a tenant of which it was asked, and its partners' sandboxes before it; tell whether it is gone.

        Each step can be repeated, so whatever cuts it short, doing it again goes on from there.

        Args:
            slug: Which one.
            wait: Whether to wait where another process is at it; else that is left to the other one.
            caller: Who asks for it.

        Raises:
            errors.Busy: Something still uses its tables, or those of a sandbox. What can be deleted is.
            errors.KeysUnavailable: The key store is away.
            errors.FeatureDisabled: This process has no administrator's URL.
        """
        async with self._turn_to_delete(slug, wait=wait) as mine:
            if not mine:
                return False
            record = await self._find(slug)
            if record is None or record.state is not TenantState.DELETING:
                return True
            while await self.sandboxes_of(record.id, limit=1):
                if not await self._remove_sandboxes(record, wait, caller):
                    return False
            await self._drop(record, caller)
            return True

    @asynccontextmanager
    async def _turn_to_delete(self, slug: str, *, wait: bool) -> AsyncIterator[bool]:
        admin, name = self._administrator(), f"delete {slug}"
        if wait:
            async with admin.exclusively(name):
                yield True
        else:
            async with admin.unless_taken(name) as mine:
                yield mine

    async def _remove_sandboxes(self, bank: Record, wait: bool, caller: Caller) -> bool:  # noqa: FBT001 - as it was told
        """Delete the sandboxes of a bank that is being deleted, and tell whether all are gone that there were.

        All are stopped and marked first, so that whatever keeps one of them keeps no other one, here or elsewhere.
        """
        served = False
        async for sandbox in self._all_sandboxes(bank):
            if sandbox.state is TenantState.ACTIVE:
                served = True
                with contextlib.suppress(errors.UnknownTenant):
                    await self.stop_sandbox(sandbox, caller=caller)
        if served:
            await asyncio.sleep(_FORGOTTEN_S)
        gone, failures = True, list[Exception]()
        for step in (self._mark_sandbox, partial(self._delete_marked, wait=wait)):
            async for sandbox in self._all_sandboxes(bank):
                try:
                    gone &= await step(sandbox.slug, caller=caller)
                except errors.DatabaseUnavailable:
                    raise
                except Exception as error:  # noqa: BLE001 - It is raised once the others have had their turn.
                    failures.append(error)
        if failures:
            raise failures[0]
        return gone

    async def _all_sandboxes(self, bank: Record) -> AsyncIterator[Record]:
        """Go through a bank's sandboxes page by page, also where some of them go meanwhile."""
        after = ""
        while page := await self.sandboxes_of(bank.id, after=after):
            for each in page:
                yield each
            after = page[-1].slug

    async def _mark_sandbox(self, slug: str, *, caller: Caller) -> bool:
        # A job may just have removed it for its partner.
        with contextlib.suppress(errors.UnknownTenant):
            await self._doom(slug, slug, "its bank was deleted", caller)
        return True

    async def _delete_marked(self, slug: str, *, wait: bool, caller: Caller) -> bool:
        return await self.carry_out_deletion(slug, wait=wait, caller=caller)

    async def _drop(self, record: Record, caller: Caller) -> None:
        """Take away what there is of a tenant that is being deleted; its row goes last."""
        names = record.names(await self._database.deployment())
        await self._administrator().drop(names)
        if self._keys is not None:
            # By now nobody can ask for a new one, and copies of the data that are kept elsewhere say nothing any more.
            await self._keys.forget(record)
        async with self._database.platform_tx() as tx:
            revision = await tx.fetchval(queries.NEXT_REVISION)
            reason = await tx.fetchval(queries.REASON, record.id)
            owner_id = None if record.owner is None else record.owner.tenant_id
            await tx.execute(queries.DELETE_HOSTS, record.id)
            await tx.execute(queries.DELETE_SANDBOX, record.id)
            await tx.execute(queries.DELETE_TENANT, record.id)
            noted = await tx.fetchval(queries.INSERT_DELETED, record.id, record.slug, reason, revision, now(), owner_id)
            if noted is not None:
                await note(tx, caller, "tenant.deleted", record.id, record.slug, reason=reason)
        self._registry.expire()
        self._database.pools.forget(names.runtime_role)

    # Sandboxes of partners, which are tenants like any other.

    async def sandbox_of(self, owner_id: UUID, sandbox_id: UUID) -> Record | None:
        """Return the tenant that is a certain sandbox of a tenant's partner; None where there is none (yet)."""
        async with self._database.platform_tx() as tx:
            row = await tx.fetchrow(queries.SANDBOX_OF, owner_id, sandbox_id)
        return None if row is None else read_record(row)

    async def sandboxes_of(
        self, owner_id: UUID, partner_id: UUID | None = None, *, after: str = "", limit: int = PAGE
    ) -> list[Record]:
        """Return tenants that are sandboxes of a tenant's partners, or of one of these, in order of slug.

        Args:
            owner_id: The tenant whose partners they belong to.
            partner_id: Which partner; any where absent.
            after: Those after this slug.
            limit: How many at most.
        """
        async with self._database.platform_tx() as tx:
            rows = await tx.fetch(queries.SANDBOXES_OF, owner_id, partner_id, after, limit)
        return [read_record(row) for row in rows]

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
                await tx.execute(queries.INSERT_TENANT, tenant_id, manifest.slug, text, revision, now())
                if owner is not None:
                    await tx.execute(queries.INSERT_SANDBOX, tenant_id, *msgspec.structs.astuple(owner))
            elif row["state"] == TenantState.DELETING or row["state"] not in _STATES:
                msg = "the tenant is being deleted, or in a state that only a newer version knows"
                raise errors.TenantStateRefuses(msg, state=row["state"])
            elif _differences(row["manifest"], manifest):
                _check_stays(row, manifest)
                change = "changed"
                await tx.execute(queries.UPDATE_MANIFEST, tenant_id, text, revision, now())
            await tx.execute(queries.DELETE_HOSTS, tenant_id)
            await tx.execute(queries.INSERT_HOSTS, manifest.hosts, tenant_id)
            written = await tx.fetchrow(queries.TENANT_BY_SLUG, manifest.slug)
            if change != "unchanged":
                fields = _differences(None if row is None else row["manifest"], manifest)
                await note(tx, caller, f"tenant.{change}", tenant_id, manifest.slug, fields=fields)
        self._registry.expire()
        return read_record(written), change

    async def _finish(self, record: Record, version: str | None, caller: Caller) -> Record:
        if record.state is TenantState.PROVISIONING or record.schema_version != version:
            await self._set_version(record, version, caller)
        if record.state is TenantState.PROVISIONING:
            return await self._change_state(record.slug, "finish", None, caller)
        return await self.get(record.slug)

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
            if event == "delete" and row["state"] == TenantState.DELETING:
                # Who has asked first stands there, and why. They may have been no person, or of a version that didn't
                # ask for the keys yet.
                marked = read_record(row)
                if self._keys is not None and not await tx.fetchval(queries.KEYS_ARE_DOOMED, row["id"], now()):
                    await self._keys.ask(tx, marked, caller, reason)
                return marked
            target = TRANSITIONS.get((row["state"], event))
            if target is None:
                msg = f"a tenant that is {row['state']} can't be told to {event}"
                raise errors.TenantStateRefuses(msg, state=row["state"])
            await tx.execute(queries.UPDATE_STATE, row["id"], target.value, reason, revision, now())
            # By now we have the tenant's row, which whoever approves a destruction of its keys takes first.
            if event == "resume" and await tx.fetchval(queries.KEYS_ARE_DOOMED, row["id"], now()):
                msg = "the destruction of all of the tenant's keys was asked for, or is done"
                raise errors.TenantStateRefuses(msg, state=row["state"])
            if event in {"suspend", "resume"}:
                # What operators say themselves doesn't end with what the partner's sandbox was closed for.
                await tx.execute(queries.MARK_CLOSED, row["id"], bool(closed))
            changed = read_record(await tx.fetchrow(queries.TENANT_BY_SLUG, slug))
            await note(tx, caller, f"tenant.{target.value}", row["id"], slug, reason=reason, before=row["state"])
            if event == "delete" and self._keys is not None:
                await self._keys.ask(tx, changed, caller, reason)
        self._registry.expire()
        return changed

    async def _prepare(
        self, admin: Administrator, deployment: Deployment, before: Record, isolation: Isolation
    ) -> bool:
        """Open the way that another isolation needs, and tell whether it is another one."""
        if before.state is TenantState.DELETING or (before.known is not None and before.isolation == isolation):
            return False
        check = partial(self._check_not_deleted, before)
        await admin.open_way(deployment, before.names(deployment), isolation, check=check)
        return True

    async def _close_other_way(
        self, admin: Administrator, deployment: Deployment, record: Record, *, only: Isolation | None = None
    ) -> None:
        """Close the way to a tenant's roles that its isolation doesn't ask for, where that is the one named."""
        now_is = await self._find(record.slug)
        if now_is is None or now_is.id != record.id or now_is.state is TenantState.DELETING:
            return
        if now_is.known is not None and only in {None, now_is.isolation}:
            await admin.close_other_way(deployment, record.names(deployment), now_is.isolation)

    async def _check_not_deleted(self, record: Record) -> None:
        """See that nobody has deleted a tenant meanwhile: what is made of it then, nobody would take away again."""
        async with self._database.platform_tx() as tx:
            state = await tx.fetchval(queries.STATE, record.id)
        if state is None or state == TenantState.DELETING:
            msg = "the tenant is being deleted, or was meanwhile"
            raise errors.TenantStateRefuses(msg, state=TenantState.DELETING.value)


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


def _check_stays(row: Any, manifest: Manifest) -> None:
    """See that what is for trying out stays so, and what is real, too.

    A sandbox's clock may stand, or be years ahead, and nothing but another reset brings it back; and whoever may reset
    a sandbox would delete a bank's books.
    """
    before = read_record(row).known
    if before is None or row["state"] == TenantState.PROVISIONING or before.sandbox == manifest.sandbox:
        return
    kind = "a sandbox" if before.sandbox else "no sandbox"
    reason = f"the tenant was made as {kind}, and stays so: what it is to be else needs another slug"
    raise errors.ManifestInvalid(f"sandbox: {reason}", param="sandbox", file="manifest", key="sandbox", reason=reason)


def _belongs_to_another() -> errors.TenantExists:
    return errors.TenantExists("the slug belongs to another tenant", param="slug")


def _differences(before: str | None, after: Manifest) -> list[str]:
    """Return the keys of the manifest that are not as they were; all of them where it can't be read how they were."""
    try:
        old = None if before is None else read_stored(before)
    except msgspec.MsgspecError:
        old = None
    return sorted(
        name for name in Manifest.__struct_fields__ if old is None or getattr(old, name) != getattr(after, name)
    )


def _silent(_: str) -> None:
    """Report to nobody."""
