"""Which tenants there are, as each worker keeps it in memory."""

import asyncio
import time
from collections.abc import Mapping
from uuid import UUID

import msgspec
import structlog

from billfold import errors
from billfold.contract.platform import TenantState
from billfold_server.db.engine import ENGINE
from billfold_server.tenancy import queries
from billfold_server.tenancy.context import WITH_SCHEMA, TenantRef
from billfold_server.tenancy.records import read_record, unreadable, without_schema
from billfold_server.tenancy.transaction import Database

__all__ = ["CACHE_S", "Registry"]

log = structlog.get_logger(__name__)

_SERVED = TenantState.ACTIVE.value

CACHE_S = 1.0
"""For how long a worker may not know of a change to a tenant."""


class Registry:
    """Which tenants there are, as a worker knows it: at most ``CACHE_S`` old, for one query per worker and second."""

    def __init__(self, database: Database, *, cache_s: float = CACHE_S) -> None:
        self._database = database
        self._cache_s = cache_s
        self._refreshing = asyncio.Lock()
        self._asked = 0.0
        self._fresh_until = 0.0
        self._expired = 0.0
        self._revision = -1
        self._own: dict[UUID, TenantRef] = {}
        self._states: dict[UUID, str] = {}
        self._unreadable: dict[UUID, str] = {}
        self._tenants: dict[UUID, TenantRef] = {}
        self._by_slug: dict[str, TenantRef] = {}
        self._by_host: dict[str, TenantRef] = {}

    async def find(self, slug: str) -> TenantRef | None:
        """Return the tenant with this slug, in whatever state, or None.

        What isn't known is looked for once more: whoever is told that a tenant is ready may ask another worker at once.
        """
        asked = time.monotonic()
        await self._refresh()
        if slug not in self._by_slug and self._asked < asked:
            await self._refresh(since=asked)
        return self._by_slug.get(slug)

    async def find_by_id(self, tenant_id: UUID) -> TenantRef | None:
        """Return the tenant with this id, in whatever state, or None."""
        await self._refresh()
        return self._tenants.get(tenant_id)

    def at_hand(self, slug: str) -> TenantRef | None:
        """Return the tenant with this slug, if it is known without asking the database; if not, ``find`` says more."""
        return self._by_slug.get(slug) if time.monotonic() < self._fresh_until else None

    def knows(self, slug: str) -> bool:
        """Tell whether there was a tenant with this slug, in whatever state, when it was last looked."""
        return slug in self._by_slug

    def last_seen(self, slug: str) -> TenantRef | None:
        """Return the tenant with this slug as it was when it was last looked, however long ago: for its looks alone."""
        return self._by_slug.get(slug)

    def known_at(self, host: str) -> str | None:
        """Return the slug of the tenant that had this host name (lower case, no port) when it was last looked."""
        tenant = self._by_host.get(host)
        return None if tenant is None else tenant.slug

    async def find_by_host(self, host: str) -> TenantRef | None:
        """Return the tenant with this host name (lower case, no port), in whatever state, or None."""
        await self._refresh()
        return self._by_host.get(host)

    async def get(self, slug: str) -> TenantRef:
        """Return the tenant with this slug, whose tables are there, whether or not it is served.

        Raises:
            errors.UnknownTenant: There is none.
            errors.TenantUnreadable: This version can't read what it is.
            errors.TenantStateRefuses: It isn't provisioned to its end, or is being deleted.
        """
        found = await self.find(slug)
        if found is None:
            self.refuse_unreadable(slug)
            msg = "there is no tenant with this slug"
            raise errors.UnknownTenant(msg)
        # A partner's sandbox has tables of its own, whatever becomes of its bank.
        own = self._own[found.id].state
        if own not in WITH_SCHEMA:
            raise without_schema(TenantState(own))
        return found

    async def everyone(self) -> list[TenantRef]:
        """Return every tenant, in order of slug; for jobs and relays that serve them all."""
        await self._refresh()
        return [self._by_slug[slug] for slug in sorted(self._by_slug)]

    @property
    def unreadable(self) -> list[str]:
        """The slugs of tenants of which this version can't read what they are, as of the last look."""
        return sorted(self._unreadable.values())

    @property
    def behind(self) -> int:
        """How many tenants' schemas lack a migration of this version, as of the last look."""
        return sum(tenant.is_behind and tenant.state in WITH_SCHEMA for tenant in self._tenants.values())

    def refuse_unreadable(self, slug: str) -> None:
        """See that it isn't because this version can't read it that a tenant isn't served here.

        Raises:
            errors.TenantUnreadable: It is.
        """
        if slug in self._unreadable.values():
            raise unreadable()

    def expire(self) -> None:
        """Read the registry again at the next look, because this process has just changed it.

        What is being read at this moment was asked for before, so it doesn't count as fresh either.
        """
        self._fresh_until = 0.0
        self._expired = time.monotonic()

    async def _refresh(self, *, since: float | None = None) -> None:
        """Read what has changed, unless what is known is young enough, or was asked for after a time."""
        # Asked inside a transaction, this would work as long as nothing has to be read, and fail now and then.
        ENGINE.refuse_nesting()
        if self._is_fresh(since):
            return
        # Those who wait here are answered by one reading, so that many who ask for nothing known cost one query a time.
        async with self._refreshing:
            if self._is_fresh(since):
                return
            # The answer is as old as the question, so its age counts from here.
            asked = time.monotonic()
            await self._read()
            self._asked, self._fresh_until = asked, asked + self._cache_s if asked > self._expired else 0.0

    def _is_fresh(self, since: float | None) -> bool:
        return time.monotonic() < self._fresh_until and (since is None or self._asked >= since)

    async def _read(self) -> None:
        deployment = await self._database.deployment()
        async with self._database.platform_tx() as tx:
            revision = await tx.fetchval(queries.REVISION)
            if revision == self._revision:
                return
            # Numbers go back where the database was restored, or one took its place that had missed the last changes.
            anew = revision < self._revision
            known = -1 if anew else self._revision
            changed = await tx.fetch(queries.TENANTS_CHANGED_AFTER, known)
            deleted = await tx.fetch(queries.TENANTS_DELETED_AFTER, known)
        own, states, strange = ({}, {}, {}) if anew else (dict(self._own), dict(self._states), dict(self._unreadable))
        for row in deleted:
            for each in (own, states, strange):
                each.pop(row["id"], None)
        for row in changed:
            states[row["id"]] = row["state"]
            record = read_record(row)
            strange.pop(record.id, None)
            if record.known is not None:
                own[record.id] = record.ref(deployment)
                continue
            # The others are served all the same; this one as it was known, if it was, but for its state.
            log.error("tenant_unreadable", tenant=record.slug, reason=record.unreadable)
            strange[record.id] = record.slug
            if (before := self._own.get(record.id)) is not None:
                own[record.id] = msgspec.structs.replace(before, state=record.state.value, revision=record.revision)
        for tenant_id in self._own.keys() - own.keys():
            self._database.pools.forget(self._own[tenant_id].runtime_role)
        self._own, self._states, self._unreadable, self._revision = own, states, strange, revision
        self._tenants = {key: _as_its_bank(tenant, states) for key, tenant in own.items()}
        self._by_slug = {tenant.slug: tenant for tenant in self._tenants.values()}
        self._by_host = {host: tenant for tenant in self._tenants.values() for host in tenant.manifest.hosts}


def _as_its_bank(tenant: TenantRef, states: Mapping[UUID, str]) -> TenantRef:
    """Return a tenant as it is served: a partner's sandbox is closed while the bank is, and says so as the bank does.

    That isn't written down anywhere, so whatever closed the sandbox itself is there again once the bank is served.
    """
    if tenant.owner_id is None or tenant.state != _SERVED:
        return tenant
    state = states.get(tenant.owner_id, _SERVED)
    return tenant if state == _SERVED else msgspec.structs.replace(tenant, state=state)
