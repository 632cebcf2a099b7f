"""A process that provisions a tenant and is killed at one of its steps."""

import asyncio
import os
import signal

from billfold_server.tenancy.provisioning import Administrator
from billfold_server.tenancy.service import Tenants
from billfold_server.tenancy.transaction import Database
from tests.tenants import SECRET, manifest


def run(admin_dsn: str, steps: int) -> None:
    """Apply the manifest of ``acme``, in a process of its own, until so many steps are done and another one begins."""
    asyncio.run(_main(admin_dsn, steps))


async def _main(admin_dsn: str, steps: int) -> None:
    left = steps

    def report(_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    administrator = Administrator(admin_dsn, deployment_secret=SECRET)
    database = Database((await administrator.bootstrap()).runtime_dsn, deployment_secret=SECRET)
    await Tenants(database, administrator).apply(manifest("acme"), progress=report)
    await database.close()
