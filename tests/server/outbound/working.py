"""A tenant whose jobs call endpoints of this machine."""

from datetime import datetime, timedelta

import msgspec

from billfold_server.db.runner import JobRunner
from billfold_server.outbound.service import Outbound
from billfold_server.tenancy import clock
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.manifest import Egress
from billfold_server.tenancy.transaction import Database

__all__ = ["Working", "calling_here"]


def calling_here(tenant: TenantRef) -> TenantRef:
    """Return a tenant that may call this machine."""
    manifest = msgspec.structs.replace(tenant.manifest, egress=Egress(loopback=True))
    return msgspec.structs.replace(tenant, manifest=manifest)


class Working:
    """A tenant that may call this machine, and what does its jobs.

    Attributes:
        tenant: The tenant.
        database: Where its tables are.
        outbound: What calls endpoints.
        runner: What does jobs.
    """

    tenant: TenantRef
    database: Database
    outbound: Outbound
    runner: JobRunner

    async def close(self) -> None:
        """Let go of everything."""
        await self.runner.stop()
        self.outbound.close()

    async def work(self) -> None:
        """Do what is due."""
        await self.runner.run(self.tenant)
        await self.runner.settle()

    async def pass_time(self, **span: float) -> None:
        """Move the clock, doing on the way what falls due."""
        async with self.database.tx(self.tenant) as tx:
            await clock.request_advance(tx, await clock.tenant_now(tx) + timedelta(**span), freeze=True)
        await self.runner.drive(self.tenant)

    async def now(self) -> datetime:
        """Return the tenant's time."""
        async with self.database.tx(self.tenant) as tx:
            return await clock.tenant_now(tx)
