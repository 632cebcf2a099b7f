"""What the operators of a platform see: its tenants, and what was done with them."""

from collections.abc import Mapping
from typing import Any

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.contract.platform import AuditRecord, Tenant

__all__ = ["AsyncPlatformAuditRecords", "AsyncTenants"]


class AsyncTenants(AsyncResource):
    """Tenants of a platform: ``platform.tenants``."""

    __slots__ = ()

    async def apply(self, *, slug: str, manifest: Mapping[str, Any]) -> Tenant:
        """Create a tenant, or change it to what its manifest says.

        Args:
            slug: Its name in addresses.
            manifest: As in ``tenant.toml``.

        Raises:
            errors.ManifestInvalid: ``key`` and ``reason`` say what is wrong with the manifest.
        """
        body = encoding.fields(slug=slug, manifest=manifest)
        return await self._change(operations.APPLY_TENANT, body=body, repeatable=True)

    async def get(self, slug: str) -> Tenant:
        """Return a tenant.

        Raises:
            errors.UnknownTenant: There is none of this name.
        """
        return await self._ask(operations.GET_TENANT, slug)

    async def suspend(self, slug: str, *, reason: str) -> Tenant:
        """Stop serving a tenant; nothing of it is lost.

        Args:
            slug: Which one.
            reason: Why; it is kept in the audit.
        """
        body = encoding.fields(reason=reason)
        return await self._change(operations.SUSPEND_TENANT, slug, body=body)

    async def resume(self, slug: str, *, reason: str) -> Tenant:
        """Serve a suspended tenant again.

        Args:
            slug: Which one.
            reason: Why; it is kept in the audit.
        """
        body = encoding.fields(reason=reason)
        return await self._change(operations.RESUME_TENANT, slug, body=body)

    async def migrate(self, slug: str) -> Tenant:
        """Bring a tenant's schema up to the server's version.

        Args:
            slug: Which one.
        """
        return await self._change(operations.MIGRATE_TENANT, slug, repeatable=True)

    async def delete(self, slug: str, *, confirm: str) -> None:
        """Delete a tenant with everything in it. It must be suspended before.

        Args:
            slug: Which one.
            confirm: The same name again, so that no slip deletes a bank.

        Raises:
            errors.UnknownTenant: There is none of this name.
        """
        await self._change(operations.DELETE_TENANT, slug, query=encoding.query(confirm=confirm))

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> AsyncPages[Tenant]:
        """List tenants.

        Args:
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        return self._list(operations.LIST_TENANTS, query=encoding.query(limit=limit, cursor=cursor))


class AsyncPlatformAuditRecords(AsyncResource):
    """What operators did with tenants and clients, and why: ``platform.audit_records``."""

    __slots__ = ()

    def list(
        self,
        *,
        object_id: str | None = None,
        action: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[AuditRecord]:
        """List audit records.

        Args:
            object_id: Only those about this tenant or client.
            action: Only those of this action, such as ``tenant.suspended``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(object_id=object_id, action=action, limit=limit, cursor=cursor)
        return self._list(operations.LIST_PLATFORM_AUDIT_RECORDS, query=query)
