"""A bank whose months are long past, for tests of what leaves its ledger."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from billfold import ids
from billfold.chain import verify_export
from billfold.clock import ManualClock
from billfold.contract.wallets import CreateTopUp
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.account_statements.service import made_until
from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.invariants.service import check
from billfold_server.ledger import service
from billfold_server.ledger.detaching import Detached, detach
from billfold_server.ledger.export import export_ledger, verify_ledger
from billfold_server.tenancy.context import COMMAND_LINE, SYSTEM, TenantRef
from billfold_server.wallets import kinds
from tests.server.ledger.books import Bench, open_engine
from tests.server.ledger.giving import accepted, capture, hold, reverse
from tests.tenants import Tenancy, manifest, template_with

__all__ = ["FEBRUARY", "JANUARY", "MARCH", "SHORT", "WAITERS", "Past", "past", "tenancy_template"]

JANUARY, FEBRUARY, MARCH = (datetime(2025, month, 10, tzinfo=UTC) for month in (1, 2, 3))
SHORT = {"retention_months": 1}
WAITERS = """
    SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
    WHERE NOT l.granted AND c.relname = $1
        AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
"""
"""How many wait for a table."""


class Past:
    """Books that were kept over three months that are long past.

    Attributes:
        bench: Engine and wallets.
        first: A transfer of January.
        last: One of March.
        instants: When something had just been posted, and what the wallets then held.
    """

    def __init__(self, tenancy: Tenancy, tenant: TenantRef) -> None:
        self.clock = ManualClock(JANUARY)
        engine = open_engine(tenancy.database, clock=self.clock)
        self.bench = Bench(engine, tenancy.database, tenant)
        self.tenancy = tenancy
        self.tenant = tenant
        self.first: dict[str, Any] = {}
        self.last: dict[str, Any] = {}
        self.instants: list[tuple[datetime, list[int]]] = []

    async def at(self, instant: datetime) -> None:
        """Let it be another time, for the machine and for the tenant."""
        self.clock.advance(instant - self.clock.now())
        await self.tenancy.as_owner(self.tenant, f"UPDATE tenant_clock SET frozen_at = '{instant.isoformat()}'")  # noqa: S608

    async def note(self) -> None:
        """Remember what the wallets hold now."""
        await self.at(self.clock.now() + timedelta(minutes=1))
        self.instants.append((self.clock.now(), [await self.bench.balance(wallet) for wallet in range(3)]))
        await self.at(self.clock.now() + timedelta(hours=1))

    async def balances(self, effective_at: datetime | None, recorded_at: datetime | None = None) -> list[int]:
        """Return what the wallets held as of a time."""
        wallets = [ids.decode(Prefix.WALLET, wallet) for wallet in self.bench.wallets]
        held = []
        async with self.bench.database.tx(self.tenant) as tx:
            found = await service.list_wallet_accounts(tx, wallets)
            for wallet in wallets:
                accounts = [account for account in found[wallet] if account.currency == "EUR"]
                told = await service.balances_as_of(tx, accounts, effective_at=effective_at, recorded_at=recorded_at)
                held.append(sum(balance.posted_minor for balance in told))
        return held

    async def state(self) -> UUID:
        """Make the account statements that are due, and return the last entry of which they are."""
        return await made_until(lambda: self.bench.database.tx(self.tenant), SYSTEM)

    async def detach(self, before: date, archive: Path | None = None, *, stated: bool = False) -> list[Detached]:
        """Detach the months before one; where statements count, once they are made."""
        return await detach(
            self.bench.database,
            self.tenancy.tenants,
            self.tenant,
            before=before,
            archive=archive,
            reason="ten years are over",
            caller=COMMAND_LINE,
            stated=self.state if stated else None,
        )

    async def exported(self) -> list[bytes]:
        """Return the export's lines."""
        return [line async for line in export_ledger(self.bench.database, self.tenant)]

    async def ok(self) -> bool:
        """Tell whether verification, export and invariants find nothing."""
        found = await verify_ledger(self.bench.database, self.tenant)
        assert found.findings == []
        assert verify_export(await self.exported()).ok
        assert await check(self.bench.database, self.tenant) == []
        return found.ok


@pytest.fixture(scope="session")
def tenancy_template(postgres: EmbeddedPostgres, tenancy_template: str) -> str:
    """Return the name of a template that has the bank as well whose months leave."""
    return template_with(postgres, tenancy_template, "tenancy_oldbank", manifest("oldbank", limits=SHORT))


async def past(tenancy: Tenancy, tenant: TenantRef | None = None) -> Past:
    """Return books in which something of everything has happened in January, February and March 2025.

    Args:
        tenancy: The test's database.
        tenant: Whose books, if not those of the template's bank.
    """
    books = Past(tenancy, tenant or await tenancy.registry.get("oldbank"))
    bench = books.bench
    await books.at(JANUARY)
    await bench.add_wallets(3, ["EUR"])
    await bench.top_up(0, 10_000)
    books.first = accepted(await bench.transfer(0, 1, 100))
    reserved = await hold(bench, 500, to_wallet_id=bench.wallets[1])
    await capture(bench, reserved, amount_minor=200, final=False)
    await books.note()
    await books.at(FEBRUARY)
    await capture(bench, reserved, amount_minor=100, final=True)
    await reverse(bench, books.first["journal_entry_id"], 30)
    await books.note()
    late = CreateTopUp(wallet_id=bench.wallets[1], amount=Money(11, "EUR"), effective_at=FEBRUARY - timedelta(days=20))
    accepted(await bench.submit(kinds.TOP_UP, kinds.top_up(late)))
    await books.note()
    await books.at(MARCH)
    books.last = accepted(await bench.transfer(1, 0, 7))
    await books.note()
    return books
