"""Destroys all keys of a tenant, which one operator of the platform asks for and another one agrees to.

Nothing that the tenant has sealed can be read after that, in no backup either. What is asked for waits as a row of the
platform, so the two need not be there at the same time. What was cut short is carried out by agreeing again.

Where an operator deletes a tenant, the rows of its keys go at once, and with them, in the local backend, its key. In
Vault the key remains, which no server may destroy: the operator's word counts as having asked for it, and another one
agrees. ``remains`` proves that nothing is left.
"""

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.keys import upkeep_queries
from billfold_server.keys.backends import TenantKey
from billfold_server.keys.hierarchy import Keys
from billfold_server.keys.rules import DOMAINS, SealBroken
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import Database, PlatformTx

__all__ = [
    "Destruction",
    "EndingKeys",
    "Remains",
    "approve",
    "ask",
    "find_doomed",
    "list_deleted",
    "list_destroyed",
    "list_destructions",
    "reject",
    "remains",
]

_WAITS: Final = timedelta(days=3)


class Destruction(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, and where it stands.

    Attributes:
        state: ``pending``; ``approved``, but not carried out to its end yet; ``rejected``; or ``done``.
    """

    id: UUID
    tenant_id: UUID
    slug: str
    reason: str
    asked_by: UUID
    asked_at: datetime
    expires_at: datetime
    state: str
    decided_by: UUID | None = None
    decided_at: datetime | None = None
    done_at: datetime | None = None


class Doomed(Protocol):
    """A tenant that is being deleted."""

    @property
    def id(self) -> UUID:
        """Its id."""

    @property
    def slug(self) -> str:
        """What it is called."""

    @property
    def owner(self) -> object | None:
        """Whose sandbox it is, where it is a partner's."""


_COLUMNS: Final = ", ".join(Destruction.__struct_fields__)
# Texts of constants alone.
_FIND: Final = f"SELECT {_COLUMNS} FROM key_destructions WHERE id = $1 FOR UPDATE"  # noqa: S608
_LIST: Final = f"SELECT {_COLUMNS} FROM key_destructions ORDER BY id DESC LIMIT $1"  # noqa: S608
_INSERT: Final = f"""
INSERT INTO key_destructions (id, tenant_id, slug, reason, asked_by, asked_at, expires_at, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending')
ON CONFLICT (tenant_id) WHERE state = 'pending' DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608
_EXPIRE: Final = """
UPDATE key_destructions SET state = 'rejected', decided_by = $3, decided_at = $2
WHERE tenant_id = $1 AND state = 'pending' AND expires_at <= $2
"""
_DECIDE: Final = "UPDATE key_destructions SET state = $2, decided_by = $3, decided_at = $4 WHERE id = $1"
_DONE: Final = "UPDATE key_destructions SET state = 'done', done_at = $2 WHERE id = $1 AND state = 'approved'"
_DESTROYED: Final = """
SELECT tenant_id FROM key_destructions WHERE state = 'done' UNION SELECT id FROM deleted_tenants
"""

_DELETED: Final = "SELECT id, slug FROM deleted_tenants ORDER BY deleted_at DESC, id LIMIT $1"

_TENANT: Final = """
SELECT id, state FROM tenants WHERE slug = $1
UNION ALL (SELECT id, 'deleted' FROM deleted_tenants WHERE slug = $1 ORDER BY deleted_at DESC LIMIT 1) LIMIT 1
"""
_STATE: Final = "SELECT state FROM tenants WHERE id = $1 FOR UPDATE"

_NOBODY: Final = UUID(int=0)


async def ask(
    tx: PlatformTx, operator: Caller, *, tenant_id: UUID, slug: str, reason: str, now: datetime
) -> Destruction:
    """Ask for the destruction of all keys of a tenant, which must be suspended or deleted.

    Args:
        tx: The platform's transaction.
        operator: The person who asks.
        tenant_id: Whose keys.
        slug: What the tenant is, or was, called.
        reason: Why.
        now: The real time.

    Raises:
        errors.PersonRequired: It is nobody in particular who asks.
        errors.TenantStateRefuses: It was asked for already.
    """
    if operator.user_id is None:
        raise errors.PersonRequired("an operator must ask for it, as themselves")
    await tx.execute(_EXPIRE, tenant_id, now, _NOBODY)
    rows = await tx.fetch(_INSERT, ids.uuid7(), tenant_id, slug, reason, operator.user_id, now, now + _WAITS)
    if not rows:
        raise errors.TenantStateRefuses("the destruction of its keys waits for another operator already")
    made = _row(rows[0])
    await _tell(tx, operator, "tenant_keys.destruction_asked", made, reason=reason)
    return made


class EndingKeys:
    """What becomes of the keys of a tenant that is deleted: the key store's part of them goes with it.

    Args:
        keys: The key store.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def ask(self, tx: PlatformTx, tenant: Doomed, caller: Caller, reason: str | None) -> None:
        """Ask for the destruction of the key that remains in Vault, where a person asks for the deletion.

        A program can't ask: it could be its approver's own. Then two operators do it, by ``billfold keys destroy``. Of
        sandboxes of partners there are many, so two operators destroy all of theirs at once (ADR 48).
        """
        if caller.user_id is None or tenant.owner is not None or self._keys.backends.names() == ["local"]:
            return
        with contextlib.suppress(errors.TenantStateRefuses):
            # It may have been asked for before.
            why, now = reason or "the tenant was deleted", datetime.now(UTC)
            await ask(tx, caller, tenant_id=tenant.id, slug=tenant.slug, reason=why, now=now)

    async def forget(self, tenant: Doomed) -> None:
        """Delete all that the key store has of a tenant.

        Raises:
            errors.KeysUnavailable: The key store is away; deleting again goes on.
        """
        await self._keys.forget_tenant(tenant)


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a tenant's keys.

    Attributes:
        tenant_id: Whose.
        rows: How many rows the key store has of it.
        keys: Where its key is still there, each as backend and domain.
        unknown: Where that can't be told, for the backend doesn't answer.
    """

    tenant_id: UUID
    slug: str
    rows: int
    keys: Sequence[str]
    unknown: Sequence[str]

    @property
    def nothing(self) -> bool:
        """Tell whether it is proven that nothing is left."""
        return not (self.rows or self.keys or self.unknown)


async def remains(keys: Keys, tenant_id: UUID, slug: str) -> Remains:
    """Look into the key store and ask every backend what is left of a tenant's keys.

    Raises:
        errors.KeysUnavailable: The key store is away.
    """
    there: list[str] = []
    unknown: list[str] = []
    for name in keys.backends.names():
        for domain in DOMAINS:
            try:
                await keys.backends.named(name).versions(TenantKey(tenant_id, domain))
            except SealBroken:
                continue
            except errors.KeysUnavailable:
                unknown.append(f"{name} {domain}")
            else:
                there.append(f"{name} {domain}")
    (row,) = await keys.store.fetch(upkeep_queries.REMAINS, tenant_id)
    return Remains(tenant_id=tenant_id, slug=slug, rows=row["rows"], keys=there, unknown=unknown)


async def list_deleted(tx: PlatformTx, *, limit: int = 10_000) -> list[tuple[UUID, str]]:
    """Return the tenants that were deleted, the last one first, each by its id and what it was called."""
    return [(each["id"], each["slug"]) for each in await tx.fetch(_DELETED, limit)]


async def find_doomed(tx: PlatformTx, slug: str) -> UUID:
    """Return the id of a tenant that no longer serves anybody, by its slug: a suspended one, or the last deleted one.

    Raises:
        errors.UnknownTenant: There neither is nor was one.
        errors.TenantStateRefuses: It is active; suspend it first.
    """
    row = await tx.fetchrow(_TENANT, slug)
    if row is None:
        raise errors.UnknownTenant("there is no tenant with this slug")
    _refuse_serving(row["state"])
    doomed: UUID = row["id"]
    return doomed


def _refuse_serving(state: str | None) -> None:
    if state not in {"suspended", "deleting", "deleted", None}:
        raise errors.TenantStateRefuses(f"the tenant is {state}; suspend it first", state=state)


async def list_destructions(tx: PlatformTx, *, limit: int = 100) -> list[Destruction]:
    """Return what was asked for, the newest first."""
    return [_row(each) for each in await tx.fetch(_LIST, limit)]


async def list_destroyed(tx: PlatformTx) -> list[UUID]:
    """Return the tenants of which all keys were destroyed, by two operators or because they were deleted."""
    return [each["tenant_id"] for each in await tx.fetch(_DESTROYED)]


async def reject(tx: PlatformTx, operator: Caller, destruction_id: UUID, *, now: datetime) -> None:
    """Refuse a destruction, as anybody but who has asked for it. Errors are those of ``approve``."""
    found, decider = await _open(tx, operator, destruction_id, now)
    if found.state != "pending":
        raise errors.ApprovalNotPending(f"the destruction is {found.state}")
    await tx.execute(_DECIDE, found.id, "rejected", decider, now)
    await _tell(tx, operator, "tenant_keys.destruction_rejected", found)


async def approve(
    database: Database, keys: Keys, operator: Caller, destruction_id: UUID, *, now: datetime
) -> Destruction:
    """Agree to a destruction as another operator, and carry it out.

    Args:
        database: Where it waits.
        keys: The key store, with every backend in which the tenant has keys.
        operator: The person who agrees.
        destruction_id: To what.
        now: The real time.

    Raises:
        errors.NotFound: There is no such destruction.
        errors.PersonRequired: It is nobody in particular who agrees.
        errors.MakerMayNotDecide: They have asked for it themselves.
        errors.ApprovalNotPending: It is decided and done, or its time has run out.
        errors.TenantStateRefuses: The tenant serves again since it was asked for.
        errors.KeysUnavailable: It is agreed to, but can't be carried out now; agree again later.
    """
    async with database.platform_tx() as tx:
        found, decider = await _open(tx, operator, destruction_id, now)
        # Days may have passed. Once this is written, nobody resumes the tenant any more; until then we have its row.
        _refuse_serving(await tx.fetchval(_STATE, found.tenant_id))
        if found.state == "pending":
            await tx.execute(_DECIDE, found.id, "approved", decider, now)
            await _tell(tx, operator, "tenant_keys.destruction_approved", found)
        elif found.state != "approved":
            raise errors.ApprovalNotPending(f"the destruction is {found.state}")
    await _destroy(keys, found.tenant_id)
    async with database.platform_tx() as tx:
        if await tx.execute(_DONE, found.id, now) == "UPDATE 1":
            await _tell(tx, operator, "tenant_keys.destroyed", found, reason=found.reason)
        return next(each for each in await list_destructions(tx) if each.id == found.id)


async def _open(tx: PlatformTx, operator: Caller, destruction_id: UUID, now: datetime) -> tuple[Destruction, UUID]:
    row = await tx.fetchrow(_FIND, destruction_id)
    if row is None:
        raise errors.NotFound("there is no such destruction")
    found = _row(row)
    if operator.user_id is None:
        raise errors.PersonRequired("an operator must decide, as themselves")
    if operator.user_id == found.asked_by:
        raise errors.MakerMayNotDecide("whoever has asked for it can't decide on it")
    if found.state == "pending" and found.expires_at <= now:
        raise errors.ApprovalNotPending("the destruction is expired")
    return found, operator.user_id


async def _destroy(keys: Keys, tenant_id: UUID) -> None:
    """Destroy the tenant's key wherever it is, and all that lies under it."""
    for domain in DOMAINS:
        key = TenantKey(tenant_id, domain)
        used = {row["backend"] for row in await keys.store.fetch(upkeep_queries.EPOCHS, tenant_id, domain)}
        for name in sorted(used | set(keys.backends.names())):
            await keys.backends.named(name).destroy(key)
    await keys.store.forget_tenant(tenant_id)
    keys.evict(tenant_id, None)


def _row(record: Any) -> Destruction:
    return Destruction(**dict(record))


async def _tell(
    tx: PlatformTx, caller: Caller, action: str, destruction: Destruction, *, reason: str | None = None
) -> None:
    wire_id = ids.encode(Prefix.TENANT, destruction.tenant_id)
    facts = {"slug": destruction.slug, "destruction": str(destruction.id)}
    await audit.record(tx, audit.new_record(caller, action, wire_id, reason=reason, facts=facts))
