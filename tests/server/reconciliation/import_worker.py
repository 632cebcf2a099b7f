"""A process that imports a statement file, for tests that kill it: ``… import_worker DSN KEY_STORE FILE``."""

import asyncio
import sys
from pathlib import Path

from tests.parties import open_tenant_keys
from tests.server.reconciliation.desk import Desk
from tests.tenants import open_tenancy


async def main(dsn: str, key_store: str, data: bytes) -> None:
    """Import the file, and say so."""
    opened = await open_tenancy(dsn)
    keys = open_tenant_keys(key_store)
    desk = Desk(opened.database, keys, opened.tenant)
    answer = await desk.give(data, key="of the worker")
    await desk.engine.close()
    await keys.close()
    await opened.database.close()
    print(answer.status)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes()))
