"""A process that seals a trail in small links, for tests that kill it."""

import asyncio

from billfold_server.audit.sealing import seal_piece
from billfold_server.tenancy.service import Registry
from billfold_server.tenancy.transaction import Database
from tests.tenants import SECRET


async def _main(dsn: str) -> None:
    database = Database(dsn, deployment_secret=SECRET)
    tenant = await Registry(database).get("testbank")
    while True:
        async with database.tx(tenant) as tx:
            await seal_piece(tx, records=1, ordered=1)


def run(dsn: str) -> None:
    """Connect and seal for ever, in a process of its own."""
    asyncio.run(_main(dsn))
