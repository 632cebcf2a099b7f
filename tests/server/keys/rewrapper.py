"""A process that rewraps a tenant's keys and nothing else, to be killed on the way."""

import asyncio
import signal
import sys
from uuid import UUID

from billfold_server.keys.rewrapping import Rewrap
from billfold_server.keys.service import Backends, Keyring, KeyStore, LocalBackend


async def main(dsn: str, secret: str, tenant_id: str, *numbers: str) -> None:
    """Rewrap until nothing is left, and let go; or until so few are left, and then stand still.

    Whoever is to kill it may stand still for longer than it takes for all.
    """
    batch, idle, least = numbers

    def look(_: int, left: int) -> None:
        if left <= int(least):
            signal.pause()

    store = KeyStore(dsn, timeout_s=20.0)
    backends = Backends(LocalBackend(Keyring(bytes.fromhex(secret)), store))
    work = Rewrap(store, backends, UUID(tenant_id), "data", batch=int(batch), idle=float(idle), progress=look)
    await work.run()
    await work.let_go()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
