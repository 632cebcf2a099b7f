"""A request that can be copied, and a process that sends many copies of it at once.

Run as a program it gets the server's DSN and a number, says ``ready``, waits for a line, and prints one line per copy:
status, body, whether it is a replay, and how often this copy was carried out.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from billfold import errors
from billfold_server.db.pools import PoolSettings
from billfold_server.http.idempotency import carry_out, fingerprint
from billfold_server.tenancy.context import IdempotencyRef
from billfold_server.tenancy.service import Registry
from billfold_server.tenancy.transaction import Database, TenantTx
from tests.callers import CALLER
from tests.parties import add_party
from tests.tenants import SECRET


class Done(msgspec.Struct):
    """What a request answers."""

    n: int


def ref(key: str = "k", *, body: bytes = b"{}", client: UUID = CALLER.client_id) -> IdempotencyRef:
    """Return a key with the fingerprint of a request."""
    return IdempotencyRef(client_id=client, key=key, fingerprint=fingerprint(b"secret", "POST", "/v1/things", body))


def doing(count: list[int], error: errors.ProblemError | None = None) -> Callable[[TenantTx], Awaitable[Done]]:
    """Return work that counts how often it is done, leaves a row, and may be refused after that."""

    async def work(tx: TenantTx) -> Done:
        count.append(1)
        await add_party(tx, f"p{len(count)}")
        if error is not None:
            raise error
        return Done(len(count))

    return work


async def main(dsn: str, copies: int) -> None:
    """Send the copies, each in a transaction of its own."""
    database = Database(dsn, deployment_secret=SECRET, settings=PoolSettings(acquire_timeout_s=60))
    tenant = await Registry(database).get("testbank")

    async def copy() -> str:
        count: list[int] = []
        # As in a test's own process (``tests.plugins.patience``): whoever is first may stand still for longer.
        async with database.tx(tenant, lock_timeout_ms=8_000) as tx:
            answer = await carry_out(tx, ref(), doing(count), status=201, request_id="req_1", now=datetime.now(UTC))
        return f"{answer.status} {answer.body.decode()} {answer.replayed} {len(count)}"

    print("ready", flush=True)
    sys.stdin.readline()
    for line in await asyncio.gather(*(copy() for _ in range(copies))):
        print(line)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
