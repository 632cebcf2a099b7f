"""A process that delivers what is due, for a test that kills it: ``… killable_sender DSN KEY_STORE_URL``."""

import asyncio
import sys

from billfold_server.db.runner import JobRunner
from billfold_server.outbound.service import Outbound
from billfold_server.tenancy.service import Registry
from billfold_server.tenancy.transaction import Database
from tests.parties import open_tenant_keys
from tests.server.webhooks.sending import calling_here, kinds_of, services_of
from tests.tenants import SECRET


async def main(dsn: str, key_store_url: str) -> None:
    """Deliver until killed."""
    database = Database(dsn, deployment_secret=SECRET)
    tenant = calling_here(await Registry(database).get("testbank"))
    runner = JobRunner(database, kinds_of(services_of(database, open_tenant_keys(key_store_url), Outbound())))
    while True:
        await runner.run(tenant)
        await runner.settle()
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
