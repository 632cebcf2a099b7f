"""A process that rewraps a tenant's keys and nothing else, to be killed on the way."""

import asyncio
import sys
from uuid import UUID

from billfold_server.keys.rewrapping import Rewrap
from billfold_server.keys.service import Backends, Keyring, KeyStore, LocalBackend


async def main(dsn: str, secret: str, tenant_id: str, batch: str, idle: str) -> None:
    """Rewrap until nothing is left, and let go."""
    store = KeyStore(dsn)
    backends = Backends(LocalBackend(Keyring(bytes.fromhex(secret)), store))
    work = Rewrap(store, backends, UUID(tenant_id), "data", batch=int(batch), idle=float(idle))
    await work.run()
    await work.let_go()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
