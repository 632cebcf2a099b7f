"""A trail with a few links, and what an administrator may do to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from billfold.chain import Head, TrailVerification, TrailVerifier
from billfold_server.audit import service
from billfold_server.audit.sealing import Sealed, seal, seal_piece
from billfold_server.audit.service import NewAuditRecord, new_record
from billfold_server.audit.trail_reading import read_trail, verify_trail
from billfold_server.tenancy.transaction import TenantTx
from tests.callers import CALLER
from tests.server.ledger.books import Bench
from tests.tenants import Tenancy

FACTS = {"from": "active", "share": 1.5, "names": ["ä", "\n"]}


async def note(tenancy: Tenancy, *names: str) -> list[NewAuditRecord]:
    """Record that something was done to things of these names."""
    records = [new_record(CALLER, "thing.done", name, reason="asked to", facts=FACTS) for name in names]
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await service.record(tx, *records)
    return records


async def seal_all(tenancy: Tenancy, *, wait: bool = False) -> Sealed:
    """Seal what a trail has unsealed; after another one that was cut off, once PostgreSQL has let go of that."""
    return await seal(tenancy.database, tenancy.tenant, wait=wait)


async def seal_some(tenancy: Tenancy, *, records: int = 2, ordered: int = 2) -> Sealed | None:
    """Add one small link."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await seal_piece(tx, records=records, ordered=ordered)


async def verified(tenancy: Tenancy, trusted: Head | None = None) -> TrailVerification:
    """Verify a trail as the command does."""
    return await verify_trail(tenancy.database, tenancy.tenant, trusted=trusted)


async def head_of(tenancy: Tenancy) -> Head:
    """Return the head that somebody keeps."""
    return (await verified(tenancy)).head


async def fill(tenancy: Tenancy, bench: Bench) -> list[NewAuditRecord]:
    """Make a trail with three links, records and transfers in each, and some that no link holds."""
    records = await note(tenancy, *"abc")
    await bench.top_up(0, 10_000)
    await bench.transfer(0, 1, 100)
    await seal_all(tenancy)
    for name in "de":
        records += await note(tenancy, name, f"{name}2")
        await bench.transfer(0, 1, 200)
        await bench.transfer(0, 2, 300)
        await bench.transfer(1, 2, 10)
        await seal_all(tenancy)
    await note(tenancy, "unsealed")
    await bench.transfer(0, 1, 400)
    return records


class Attack:
    """What is changed and looked at in one transaction of the owner's, which is rolled back.

    Args:
        connection: The owner's.
        tenancy: Whose trail.
    """

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", tenancy: Tenancy) -> None:
        self.connection = connection
        self._tenancy = tenancy

    async def do(self, sql: str, *arguments: object) -> str:
        """Run a statement."""
        return await self.connection.execute(sql, *arguments)

    async def ids(self, table: str) -> list[UUID]:
        """Return a table's ids in order."""
        return [row["id"] for row in await self.connection.fetch(f"SELECT id FROM {table} ORDER BY id")]  # noqa: S608

    async def seal(self) -> Sealed | None:
        """Seal what there is, as a server would at this moment."""
        return await seal_piece(self._tx)

    async def verify(self, trusted: Head | None = None) -> TrailVerification:
        """Verify what is seen now."""
        verifier = TrailVerifier(trusted=trusted)
        async for line in read_trail(self._tx):
            verifier.take(line)
        return verifier.finish()

    @property
    def _tx(self) -> TenantTx:
        return TenantTx(self.connection, self._tenancy.tenant, self._tenancy.database.wakeups)


@asynccontextmanager
async def attacking(tenancy: Tenancy) -> AsyncIterator[Attack]:
    """Open a transaction of the owner's that nothing is left of."""
    tenant = tenancy.tenant
    connection = await asyncpg.connect(tenancy.admin_dsn)
    try:
        await connection.execute(f"SET ROLE {tenant.owner_role}; SET search_path TO {tenant.schema}; BEGIN")
        yield Attack(connection, tenancy)
    finally:
        await connection.close()
