"""A process that imports a statement file, for tests that kill it."""

import asyncio
from pathlib import Path

from tests.parties import open_tenant_keys
from tests.server.reconciliation.desk import Desk
from tests.tenants import open_tenancy


def run(dsn: str, key_store: str, file: Path) -> None:
    """Import a file, in a process of its own."""
    asyncio.run(_main(dsn, key_store, file.read_bytes()))


async def _main(dsn: str, key_store: str, data: bytes) -> None:
    opened = await open_tenancy(dsn)
    keys = open_tenant_keys(key_store)
    desk = Desk(opened.database, keys, opened.tenant)
    await desk.give(data, key="of the worker")
    await desk.engine.close()
    await keys.close()
    await opened.database.close()
