"""A process that imports a statement file, for tests that kill it: ``… import_worker DSN FILE``."""

import asyncio
import sys
from pathlib import Path

from tests.server.reconciliation.desk import Desk
from tests.tenants import open_tenancy


async def main(dsn: str, data: bytes) -> None:
    """Import the file, and say so."""
    opened = await open_tenancy(dsn)
    desk = Desk(opened.database, opened.tenant)
    answer = await desk.give(data, key="of the worker")
    await desk.engine.close()
    await opened.database.close()
    print(answer.status)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
