"""What the engine does where the database, the clock or another room isn't as it was left."""

import asyncio
import contextvars
from datetime import UTC, datetime, timedelta

import asyncpg

from billfold import errors, ids
from billfold.contract.ledger import CreateHold
from billfold.contract.wallets import CreateWallet
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.ledger import queries
from billfold_server.tenancy.clock import arrive, lock_clock, request_advance, tenant_now
from billfold_server.wallets import holds, kinds
from tests.apart import apart
from tests.server.ledger.books import CALLER, Bench, open_engine
from tests.server.ledger.test_failures import account_of, another_session, settled
from tests.tenants import Tenancy

END = datetime(9999, 12, 31, tzinfo=UTC)
TABLES = ("ledger_head", "wallets", "accounts")


async def time_of(bench: Bench) -> datetime:
    """Return the tenant's time as another transaction sees it."""
    async with bench.database.tx(bench.tenant) as tx:
        return await tenant_now(tx)


class TestADatabaseThatWentBack:
    """A database that went back to an earlier state."""

    async def test_is_known_by_its_fence(self, bench: Bench, tenancy: Tenancy) -> None:
        """What another process did since counts, though as many batches have changed something as before."""
        await bench.top_up(0, 1000)
        await bench.transfer(0, 1, 10)
        await tenancy.as_owner(bench.tenant, *(f"CREATE TABLE kept_{name} AS SELECT * FROM {name}" for name in TABLES))  # noqa: S608
        await bench.rename(3, if_match='"1"', key="rename")
        await tenancy.as_owner(
            bench.tenant,
            *(f"DELETE FROM {name}" for name in TABLES),  # noqa: S608
            *(f"INSERT INTO {name} SELECT * FROM kept_{name}" for name in TABLES),  # noqa: S608
        )
        other = open_engine(tenancy.database)
        wallet = ids.decode(Prefix.WALLET, bench.wallets[1])
        await other.submit(bench.tenant, CALLER, kinds.CHANGE_STATUS, kinds.StatusChange(wallet, "freeze", "found"))
        refused = await bench.transfer(1, 0, 10)
        assert isinstance(refused.error, errors.WalletFrozen)
        await other.close()


class TestAClockThatIsStopped:
    """A clock that is stopped while commands are carried out."""

    async def test_leaves_holds_in_order(self, bench: Bench) -> None:
        """Holds are counted as of any time, whichever came first."""
        await bench.top_up(0, 1000)
        account = await account_of(bench, 0)
        hold = CreateHold(wallet_id=bench.wallets[0], amount=Money(100, "EUR"))
        async with bench.database.tx(bench.tenant) as tx:
            to = await tenant_now(tx) + timedelta(milliseconds=500)
            await request_advance(tx, to, freeze=True)
            # Nobody else knows yet that the clock will stop there, so for them it goes on past it.
            while await apart(time_of(bench)) <= to:
                await asyncio.sleep(0.01)
            meanwhile = bench.submit(holds.CREATE_HOLD, hold)
            await asyncio.get_running_loop().create_task(meanwhile, context=contextvars.Context())
        async with bench.database.tx(bench.tenant) as tx:
            await arrive(tx, await lock_clock(tx))
        await bench.submit(holds.CREATE_HOLD, hold)
        async with bench.database.tx(bench.tenant) as tx:
            found = await queries.balances_as_of(tx, [account], effective_at=END, recorded_at=END)
        assert found is not None
        assert found[account] == (-1000, 0, 200)


class TestARoomThatWantsTheSame:
    """A room whose transaction wants what a batch has, and has what it wants."""

    async def test_costs_no_command_its_answer(self, bench: Bench, tenancy: Tenancy) -> None:
        """A deadlock is broken, and the batch is carried out after all."""
        await bench.top_up(0, 1000)
        async with another_session(tenancy) as session:
            party_id = await session.fetchval("SELECT party_id FROM wallets LIMIT 1")
            await session.execute("BEGIN")
            await session.execute("UPDATE parties SET external_id = 'new' WHERE id = $1", party_id)
            wallet = CreateWallet(party_id=ids.encode(Prefix.PARTY, party_id), currencies=[])
            batch = asyncio.create_task(
                settled(
                    bench.submit(kinds.CREATE_WALLET, wallet),
                    *(bench.transfer(0, 1, 1, f"key-{number}") for number in range(20)),
                )
            )
            done, _ = await asyncio.wait([batch], timeout=0.3)
            assert not done, "the batch waits for the party"
            # The room wins or loses, as PostgreSQL decides; if it loses it has ended, too.
            won = True
            try:
                await session.execute("UPDATE relay_head SET sequence = sequence WHERE id = 1")
            except asyncpg.DeadlockDetectedError:
                won = False
            await session.execute("COMMIT" if won else "ROLLBACK")
            answers = await batch
        assert [answer.status for answer in answers] == [201] * 21
