"""Destroys all keys of a tenant, which one operator of the platform asks for and another one agrees to.

Nothing that the tenant has sealed can be read after that, in no backup either. What is asked for waits as a row of the
platform, so the two need not be there at the same time. What was cut short is carried out by agreeing again.

Where an operator deletes a tenant, the rows of its keys go at once, and with them, in the local backend, its key. In
Vault the key remains, which no server may destroy: the operator's word counts as having asked for it, and another one
agrees. ``remains`` proves that nothing is left.

Partners make and remove sandboxes as they like, and of each a key remains in Vault. Those are asked for many at once,
and agreed to at once (ADR 48): one request then stands for as many rows, which share its id.
"""

import contextlib
from collections.abc import Collection, Sequence
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
    "MOST_AT_ONCE",
    "Destruction",
    "EndingKeys",
    "Remains",
    "approve",
    "ask",
    "ask_for_removed",
    "count_unclaimed",
    "find_destroyed",
    "find_doomed",
    "get",
    "list_deleted",
    "list_destructions",
    "reject",
    "remains",
]

_WAITS: Final = timedelta(days=3)


class Destruction(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, and where it stands.

    Attributes:
        id: Names the request; of one for many tenants it is the id that they share.
        tenant_id: Whose keys; where there are many, those of one of them.
        state: ``pending``; ``approved``, but not carried out to its end yet; ``rejected``; or ``done``.
        tenants: How many tenants' keys.
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
    tenants: int = 1


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


_COLUMNS: Final = ", ".join(name for name in Destruction.__struct_fields__ if name not in {"id", "tenants"})
# Texts of constants alone.
_FIND: Final = f"""
SELECT id AS row_id, coalesce(batch_id, id) AS id, {_COLUMNS} FROM key_destructions
WHERE id = $1 AND batch_id IS NULL OR batch_id = $1 ORDER BY key_destructions.id FOR UPDATE
"""  # noqa: S608
_REQUESTS: Final = f"""
SELECT DISTINCT ON (request) coalesce(batch_id, id) AS request, coalesce(batch_id, id) AS id, {_COLUMNS},
    count(*) OVER (PARTITION BY coalesce(batch_id, id)) AS tenants
FROM key_destructions
WHERE $1::uuid IS NULL OR id = $1 AND batch_id IS NULL OR batch_id = $1
ORDER BY request DESC, state = 'done', key_destructions.id LIMIT $2
"""  # noqa: S608
"""Each request once, the newest first; of many tenants one that isn't done, where there is one."""
_INSERT: Final = """
INSERT INTO key_destructions (id, tenant_id, slug, reason, asked_by, asked_at, expires_at, state, batch_id)
SELECT n.id, n.tenant_id, n.slug, $4, $5, $6, $7, 'pending', $8
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS n (id, tenant_id, slug)
ON CONFLICT (tenant_id) WHERE state = 'pending' DO NOTHING RETURNING tenant_id, slug
"""
_REMOVED: Final = """
SELECT d.id, d.slug FROM deleted_tenants AS d
WHERE d.owner_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM key_destructions AS k WHERE k.tenant_id = d.id
        AND (k.state IN ('approved', 'done') OR k.state = 'pending' AND k.expires_at > $1))
ORDER BY d.deleted_at, d.id LIMIT $2
"""
"""Sandboxes that were removed, and of whose keys nobody has asked the destruction; the oldest first."""
_UNCLAIMED: Final = """
SELECT count(*) FROM deleted_tenants AS d
WHERE d.owner_id IS NULL AND NOT EXISTS (
    SELECT FROM key_destructions AS k WHERE k.tenant_id = d.id
        AND (k.state IN ('approved', 'done') OR k.state = 'pending' AND k.expires_at > $1))
"""
_EXPIRE: Final = """
UPDATE key_destructions SET state = 'rejected', decided_by = $3, decided_at = $2
WHERE tenant_id = ANY($1::uuid[]) AND state = 'pending' AND expires_at <= $2
"""
_DECIDE: Final = """
UPDATE key_destructions SET state = $2, decided_by = $3, decided_at = $4 WHERE id = ANY($1::uuid[])
"""
_DONE: Final = """
UPDATE key_destructions SET state = 'done', done_at = $2 WHERE id = ANY($1::uuid[]) AND state = 'approved'
RETURNING id
"""
_DESTROYED: Final = """
SELECT tenant_id FROM key_destructions WHERE tenant_id = ANY($1::uuid[]) AND state = 'done'
UNION SELECT id FROM deleted_tenants WHERE id = ANY($1::uuid[])
UNION SELECT id FROM tenants WHERE id = ANY($1::uuid[]) AND state = 'deleting'
"""

_DELETED: Final = """
SELECT id, slug FROM deleted_tenants
WHERE id > $1 AND ($2::text IS NULL OR slug = $2) ORDER BY id LIMIT $3
"""

_TENANT: Final = """
SELECT id, state FROM tenants WHERE slug = $1
UNION ALL (SELECT id, 'deleted' FROM deleted_tenants WHERE slug = $1 ORDER BY deleted_at DESC LIMIT 1) LIMIT 1
"""
_STATES: Final = "SELECT state FROM tenants WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE"

_NOBODY: Final = UUID(int=0)
_PAGE: Final = 1000
MOST_AT_ONCE: Final = 1000
"""Of how many removed sandboxes one request asks to destroy the keys."""
_NOTED_AFTER: Final = 20
"""After how many tenants it is written down that their keys are destroyed, in case of what comes between."""


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
    asker = _asker(operator)
    await tx.execute(_EXPIRE, [tenant_id], now, _NOBODY)
    request_id = ids.uuid7()
    made = await _insert(tx, operator, asker, [(request_id, tenant_id, slug)], reason=reason, now=now, batch_id=None)
    if not made:
        raise errors.TenantStateRefuses("the destruction of its keys waits for another operator already")
    return await get(tx, request_id)


async def ask_for_removed(
    tx: PlatformTx, operator: Caller, *, reason: str, now: datetime, limit: int = MOST_AT_ONCE
) -> Destruction:
    """Ask for the destruction of the keys of all partners' sandboxes that were removed, as one request.

    Args:
        tx: The platform's transaction.
        operator: The person who asks.
        reason: Why.
        now: The real time.
        limit: Of how many at most; the oldest first. Asking again is for those that are left.

    Raises:
        errors.PersonRequired: It is nobody in particular who asks.
        errors.NotFound: There is none for which it isn't asked or done already.
    """
    asker = _asker(operator)
    removed = [(each["id"], each["slug"]) for each in await tx.fetch(_REMOVED, now, limit)]
    await tx.execute(_EXPIRE, [tenant_id for tenant_id, _ in removed], now, _NOBODY)
    batch_id = ids.uuid7()
    rows = [(ids.uuid7(), *each) for each in removed]
    if not await _insert(tx, operator, asker, rows, reason=reason, now=now, batch_id=batch_id):
        raise errors.NotFound("there is no removed sandbox whose keys are left to be asked for")
    return await get(tx, batch_id)


async def count_unclaimed(tx: PlatformTx, now: datetime) -> int:
    """Return of how many deleted tenants no destruction was asked, and isn't known whether they were sandboxes.

    That wasn't written down of those that older versions have deleted.

    Args:
        tx: The platform's transaction.
        now: The real time.
    """
    count: int = await tx.fetchval(_UNCLAIMED, now)
    return count


def _asker(operator: Caller) -> UUID:
    if operator.user_id is None:
        raise errors.PersonRequired("an operator must ask for it, as themselves")
    return operator.user_id


async def _insert(
    tx: PlatformTx,
    operator: Caller,
    asker: UUID,
    rows: Sequence[tuple[UUID, UUID, str]],
    *,
    reason: str,
    now: datetime,
    batch_id: UUID | None,
) -> int:
    """Write down what is asked for, and return of how many tenants nobody had asked it."""
    columns = [[row[place] for row in rows] for place in range(3)]
    made = await tx.fetch(_INSERT, *columns, reason, asker, now, now + _WAITS, batch_id)
    request = rows[0][0] if batch_id is None and rows else batch_id
    told = [(each["tenant_id"], each["slug"]) for each in made]
    await _tell(tx, operator, "tenant_keys.destruction_asked", told, request, reason=reason)
    return len(made)


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


async def list_deleted(tx: PlatformTx, *, slug: str | None = None, after: UUID = _NOBODY) -> list[tuple[UUID, str]]:
    """Return a page of tenants that were deleted, in order of id, each by that and what it was called.

    Args:
        tx: The platform's transaction.
        slug: Only those that were called so.
        after: Those after this id.
    """
    return [(each["id"], each["slug"]) for each in await tx.fetch(_DELETED, after, slug, _PAGE)]


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


async def list_destructions(tx: PlatformTx) -> list[Destruction]:
    """Return the last hundred that were asked for, the newest first."""
    return [_row(each) for each in await tx.fetch(_REQUESTS, None, 100)]


async def get(tx: PlatformTx, request_id: UUID) -> Destruction:
    """Return what was asked for.

    Raises:
        errors.NotFound: There is no such destruction.
    """
    rows = await tx.fetch(_REQUESTS, request_id, 1)
    if not rows:
        raise errors.NotFound("there is no such destruction")
    return _row(rows[0])


async def find_destroyed(tx: PlatformTx, tenants: Collection[UUID]) -> set[UUID]:
    """Return of which of some tenants all keys were destroyed, by two operators or because they are deleted."""
    return {each["tenant_id"] for each in await tx.fetch(_DESTROYED, list(tenants))}


async def reject(tx: PlatformTx, operator: Caller, request_id: UUID, *, now: datetime) -> Destruction:
    """Refuse a destruction, as anybody but who has asked for it. Errors are those of ``approve``."""
    found, decider = await _open(tx, operator, request_id, now)
    waiting = [each for each in found if each["state"] == "pending"]
    if not waiting:
        raise errors.ApprovalNotPending(f"the destruction is {found[0]['state']}")
    await tx.execute(_DECIDE, _ids(waiting), "rejected", decider, now)
    await _tell(tx, operator, "tenant_keys.destruction_rejected", _named(waiting), request_id)
    return await get(tx, request_id)


async def approve(database: Database, keys: Keys, operator: Caller, request_id: UUID, *, now: datetime) -> Destruction:
    """Agree to a destruction as another operator, and carry it out.

    Args:
        database: Where it waits.
        keys: The key store, with every backend in which the tenants have keys.
        operator: The person who agrees.
        request_id: To what.
        now: The real time.

    Raises:
        errors.NotFound: There is no such destruction.
        errors.PersonRequired: It is nobody in particular who agrees.
        errors.MakerMayNotDecide: They have asked for it themselves.
        errors.ApprovalNotPending: It is decided and done, or its time has run out.
        errors.TenantStateRefuses: The tenant serves again since it was asked for.
        errors.KeysUnavailable: It is agreed to, but can't be carried out to its end now; agree again later.
    """
    async with database.platform_tx() as tx:
        found, decider = await _open(tx, operator, request_id, now)
        # Days may have passed. Once this is written, nobody resumes the tenant any more; until then we have its row.
        for each in await tx.fetch(_STATES, [each["tenant_id"] for each in found]):
            _refuse_serving(each["state"])
        waiting = [each for each in found if each["state"] == "pending"]
        agreed = [each for each in found if each["state"] in {"pending", "approved"}]
        if not agreed:
            raise errors.ApprovalNotPending(f"the destruction is {found[0]['state']}")
        if waiting:
            await tx.execute(_DECIDE, _ids(waiting), "approved", decider, now)
            await _tell(tx, operator, "tenant_keys.destruction_approved", _named(waiting), request_id)
    for place in range(0, len(agreed), _NOTED_AFTER):
        some = agreed[place : place + _NOTED_AFTER]
        for each in some:
            await _destroy(keys, each["tenant_id"])
        async with database.platform_tx() as tx:
            done = {each["id"] for each in await tx.fetch(_DONE, _ids(some), now)}
            named = _named([each for each in some if each["row_id"] in done])
            await _tell(tx, operator, "tenant_keys.destroyed", named, request_id, reason=found[0]["reason"])
    async with database.platform_tx() as tx:
        return await get(tx, request_id)


async def _open(tx: PlatformTx, operator: Caller, request_id: UUID, now: datetime) -> tuple[Sequence[Any], UUID]:
    """Return the rows of a request, kept from others, and who decides on it."""
    found = await tx.fetch(_FIND, request_id)
    if not found:
        raise errors.NotFound("there is no such destruction")
    if operator.user_id is None:
        raise errors.PersonRequired("an operator must decide, as themselves")
    if any(operator.user_id == each["asked_by"] for each in found):
        raise errors.MakerMayNotDecide("whoever has asked for it can't decide on it")
    if any(each["state"] == "pending" and each["expires_at"] <= now for each in found):
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


def _ids(rows: Sequence[Any]) -> list[UUID]:
    return [each["row_id"] for each in rows]


def _named(rows: Sequence[Any]) -> list[tuple[UUID, str]]:
    return [(each["tenant_id"], each["slug"]) for each in rows]


def _row(record: Any) -> Destruction:
    return Destruction(**{name: record[name] for name in Destruction.__struct_fields__})


async def _tell(
    tx: PlatformTx,
    caller: Caller,
    action: str,
    tenants: Sequence[tuple[UUID, str]],
    request_id: UUID | None,
    *,
    reason: str | None = None,
) -> None:
    """Tell of each tenant in the audit, with one statement."""
    records = [
        audit.new_record(
            caller,
            action,
            ids.encode(Prefix.TENANT, tenant_id),
            reason=reason,
            facts={"slug": slug, "destruction": str(request_id)},
        )
        for tenant_id, slug in tenants
    ]
    await audit.record(tx, *records)
