"""A process that pushes what is due, for a test that kills it."""

import asyncio

from billfold_server.db.runner import JobRunner
from billfold_server.outbound.service import Outbound
from billfold_server.tenancy.service import Registry
from billfold_server.tenancy.transaction import Database
from tests.parties import open_tenant_keys
from tests.server.open_banking.events.telling import kinds_of, services_of
from tests.server.outbound.working import calling_here
from tests.tenants import SECRET


def run(dsn: str, key_store_url: str) -> None:
    """Push until killed, in a process of its own."""
    asyncio.run(_main(dsn, key_store_url))


async def _main(dsn: str, key_store_url: str) -> None:
    database = Database(dsn, deployment_secret=SECRET)
    tenant = calling_here(await Registry(database).get("testbank"))
    runner = JobRunner(database, kinds_of(services_of(database, open_tenant_keys(key_store_url)), Outbound()))
    while True:
        await runner.run(tenant)
        await runner.settle()
        await asyncio.sleep(0.001)
