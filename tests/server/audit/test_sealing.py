"""The sealing of audit trails against PostgreSQL."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product

import asyncpg
import msgspec
import pytest

from billfold.chain import ordered_leaf
from billfold.contract.wallets import CreateTopUp
from billfold.money import Money
from billfold_server.audit import seal_queries, service
from billfold_server.audit.sealing import Sealed, Sealer, seal, seal_piece
from billfold_server.audit.service import new_record
from billfold_server.audit.trail_reading import verify_trail
from billfold_server.ledger.export import export_ledger
from billfold_server.ledger.importing import import_ledger
from billfold_server.tenancy.context import COMMAND_LINE, TenantRef
from billfold_server.tenancy.rules import PLATFORM_SCHEMA
from billfold_server.wallets import kinds
from tests.callers import CALLER
from tests.server.audit.trails import attacking, note, seal_all, seal_some, verified
from tests.server.ledger.books import Bench, open_engine
from tests.tenants import Tenancy


class TestASealing:
    async def test_takes_all_that_is_unsealed_into_one_link(self, tenancy: Tenancy, bench: Bench) -> None:
        """Records and transfers, top-ups and withdrawals, once each."""
        before = (await verified(tenancy)).unsealed
        await note(tenancy, "a", "b")
        await bench.top_up(0, 500)
        await bench.transfer(0, 1, 100)
        assert await seal_all(tenancy) == Sealed(links=1, records=before + 2, transfers=2)
        assert await seal_all(tenancy) == Sealed()
        found = await verified(tenancy)
        assert (found.ok, found.head.number, found.unsealed) == (True, 1, 0), found.findings

    async def test_is_bounded_and_goes_on(self, tenancy: Tenancy, bench: Bench) -> None:
        """Any number of links hold together what one could."""
        await note(tenancy, *"abcde")
        await bench.top_up(0, 500)
        for amount in range(1, 5):
            await bench.transfer(0, 1, amount)
        pieces = []
        while (piece := await seal_some(tenancy)) is not None:
            pieces.append(piece)
        assert max(piece.records for piece in pieces) == max(piece.transfers for piece in pieces) == 2
        assert sum(piece.transfers for piece in pieces) == 5
        found = await verified(tenancy)
        assert (found.ok, found.head.number, found.unsealed) == (True, len(pieces), 0), found.findings

    async def test_takes_a_record_that_shows_up_late(self, tenancy: Tenancy) -> None:
        """Its id is before those that are sealed already."""
        late = new_record(CALLER, "thing.done", "late")
        await note(tenancy, "a")
        await seal_all(tenancy)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await service.record(tx, late)
        assert (await seal_all(tenancy)).records == 1
        assert (await verified(tenancy)).ok

    async def test_does_not_fork_where_two_are_at_it(self, tenancy: Tenancy, bench: Bench) -> None:
        """One waits for the other, or leaves it alone."""
        await note(tenancy, *map(str, range(20)))
        await bench.top_up(0, 500)

        async def some() -> None:
            for _ in range(5):
                async with tenancy.database.tx(tenancy.tenant) as tx:
                    await seal_piece(tx, records=3, wait=True)

        await asyncio.gather(some(), some(), some())
        async with attacking(tenancy) as other:
            await other.do(seal_queries.LOCK_HEAD)
            await note(tenancy, "meanwhile")
            assert await seal_all(tenancy) == Sealed()
        await seal_all(tenancy)
        found = await verified(tenancy)
        assert (found.ok, found.unsealed) == (True, 0), found.findings

    async def test_passes_no_transfer_by_while_two_engines_write(self, tenancy: Tenancy, bench: Bench) -> None:
        """Whatever is committed later has a later id, backdated ones and all kinds among them."""
        await bench.top_up(0, 100_000)
        other = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
        other.wallets = bench.wallets
        yesterday = datetime.now(UTC) - timedelta(days=1)

        async def move(engine: Bench, amount: int) -> None:
            late = CreateTopUp(
                wallet_id=engine.wallets[2], amount=Money(amount, "EUR"), effective_at=yesterday if amount % 2 else None
            )
            await asyncio.gather(engine.transfer(0, 1, amount), engine.submit(kinds.TOP_UP, kinds.top_up(late)))

        async def seal_on() -> None:
            while True:
                await seal_some(tenancy, ordered=7)

        sealing = asyncio.create_task(seal_on())
        for _ in range(10):
            await asyncio.gather(*(move(engine, amount) for engine in (bench, other) for amount in range(1, 9)))
        sealing.cancel()
        await asyncio.wait([sealing])
        await other.engine.close()
        await seal_all(tenancy, wait=True)
        found = await verified(tenancy)
        assert (found.ok, found.unsealed, found.counts["ordered"]) == (True, 0, 321), found.findings

    async def test_that_ends_early_leaves_nothing(self, tenancy: Tenancy) -> None:
        """Link, head and marks commit together."""
        await note(tenancy, "a")

        async def broken() -> None:
            async with tenancy.database.tx(tenancy.tenant) as tx:
                assert await seal_piece(tx) is not None
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await broken()
        found = await verified(tenancy)
        assert (found.ok, found.head.number, found.unsealed > 0) == (True, 0, True)

    async def test_keeps_links_in_order_by_a_clock_that_is_put_back(self, tenancy: Tenancy) -> None:
        """A link is later than the one before."""
        await note(tenancy, "a")
        await seal_all(tenancy)
        future = "UPDATE audit_links SET sealed_at = now() + interval '1 day'; UPDATE audit_head SET sealed_at = "
        async with attacking(tenancy) as attack:
            await attack.do(future + "now() + interval '1 day'")
            await attack.do(
                "INSERT INTO audit_records SELECT gen_random_uuid(), actor, action, object_id, reason, "
                "request_id, facts, recorded_at FROM audit_records LIMIT 1"
            )
            await attack.seal()
            rows = await attack.connection.fetch("SELECT sealed_at FROM audit_links ORDER BY number")
        assert rows[0]["sealed_at"] < rows[1]["sealed_at"]

    async def test_asks_one_thing_of_a_trail_without_news(self, tenancy: Tenancy, bench: Bench) -> None:
        """And reads no table for it, however many rows there are."""
        await bench.top_up(0, 500)
        await seal_all(tenancy)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await tx.fetchval(seal_queries.UNSEALED_SINCE) is None
            await tx.execute("SET LOCAL enable_seqscan = off")
            plan = "\n".join(row[0] for row in await tx.fetch(f"EXPLAIN {seal_queries.UNSEALED_SINCE}"))
        assert "Seq Scan" not in plan, plan


class TestALedgerThatWasMoved:
    async def test_is_sealed_with_who_ordered_its_transfers(self, tenancy: Tenancy, bench: Bench) -> None:
        """They come with the export, and what is ordered later comes after them."""
        await bench.top_up(0, 500)
        await bench.transfer(0, 1, 100)
        lines = [line async for line in export_ledger(bench.database, bench.tenant)]
        other = await tenancy.add("elsewhere")
        async with tenancy.database.tx(other) as tx:
            await service.record(tx, new_record(CALLER, "thing.done", "before"))
        assert (await seal(tenancy.database, other)).transfers == 0
        await import_ledger(tenancy.database, other, lines, caller=COMMAND_LINE)
        assert (await seal(tenancy.database, other)).transfers == 2
        moved = Bench(bench.engine, bench.database, other)
        moved.wallets = bench.wallets
        await moved.transfer(0, 1, 100)
        assert (await seal(tenancy.database, other)).transfers == 1
        found = await verify_trail(tenancy.database, other)
        assert (found.ok, found.counts["ordered"], found.unsealed) == (True, 3, 0), found.findings


class TestTheLeavesOfTransfers:
    async def test_are_the_same_in_postgresql_and_python(self, tenancy: Tenancy, bench: Bench) -> None:
        """Whatever stands in the row."""
        await bench.top_up(0, 500)
        async with attacking(tenancy) as attack:
            (id_,) = await attack.ids("transfers")
            for actor, request_id in product(["cli_1", "ä\n5:x", "-"], [None, "", "-", "ü\nreq"]):
                await attack.do("UPDATE transfers SET actor = $1, request_id = $2", actor, request_id)
                row = await attack.connection.fetchrow(seal_queries.ORDERED_LEAVES, None, 10)
                leaf = ordered_leaf(kind="top_up", id=id_, actor=actor, request_id=request_id)
                assert row is not None
                assert (row["newest"], row["number"], row["leaves"]) == (id_, 1, leaf)


class TestTheServingRole:
    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE audit_links SET leaves = leaves",
            "DELETE FROM audit_links",
            "TRUNCATE audit_links",
            "DELETE FROM audit_head",
            "INSERT INTO audit_head SELECT 2, number, hash, skips, sealed_at FROM audit_head",
            "UPDATE audit_records SET id = id",
            "UPDATE audit_records SET facts = facts",
            "INSERT INTO audit_records SELECT gen_random_uuid(), 'a', 'b', 'c', NULL, NULL, '{}', now(), 1",
        ],
    )
    async def test_cannot_change_what_is_sealed(self, tenancy: Tenancy, sql: str) -> None:
        """By privilege, or by the table's policy."""
        await note(tenancy, "a")
        await seal_all(tenancy)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(sql)

    async def test_cannot_take_back_that_a_record_is_sealed(self, tenancy: Tenancy) -> None:
        """It sees no sealed record that it may update."""
        await note(tenancy, "a")
        await seal_all(tenancy)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await tx.execute("UPDATE audit_records SET link = NULL") == "UPDATE 0"
            assert await tx.execute("UPDATE audit_records SET link = 7, salt = ''") == "UPDATE 0"
        await note(tenancy, "b")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute("UPDATE audit_records SET link = NULL")


class TestTheSealer:
    async def test_seals_every_trail_and_the_platforms_own(self, tenancy: Tenancy) -> None:
        """One process does so in a round; the others find that it is done."""
        other = await tenancy.add("otherbank")
        await note(tenancy, "a")
        async with tenancy.database.platform_tx() as tx:
            await service.record(tx, new_record(CALLER, "tenant.suspended", "ten_1"))
        sealer = Sealer(tenancy.database, tenancy.registry.everyone)
        assert await sealer.look()
        assert not await sealer.look()
        for trail in (tenancy.tenant, other, None):
            found = await verify_trail(tenancy.database, trail)
            assert (found.ok, found.unsealed, found.head.number) == (True, 0, int(trail != other)), trail

    @pytest.mark.parametrize("change", ["DELETE FROM audit_rounds", "UPDATE audit_rounds SET next_at = 'infinity'"])
    async def test_is_not_kept_from_its_round(self, tenancy: Tenancy, change: str) -> None:
        """By a row that is gone, or says that the next one is never."""
        await note(tenancy, "a")
        connection = await asyncpg.connect(tenancy.admin_dsn)
        await connection.execute(f"SET search_path TO {PLATFORM_SCHEMA}; {change}")
        await connection.close()
        assert await Sealer(tenancy.database, tenancy.registry.everyone).look()
        assert (await verified(tenancy)).unsealed == 0

    async def test_goes_on_where_one_trail_cannot_be_sealed(self, tenancy: Tenancy) -> None:
        """The next one is sealed all the same, and it is tried again."""
        await tenancy.add("aaa")
        await tenancy.as_owner(await tenancy.registry.get("aaa"), "DROP TABLE audit_head")
        await note(tenancy, "a")
        counts: Counter[str] = Counter()
        sealer = Sealer(tenancy.database, tenancy.registry.everyone, count=lambda outcome: counts.update([outcome]))
        assert await sealer.look()
        assert (await verified(tenancy)).unsealed == 0
        assert counts == {"done": 2, "failed": 1}, "the platform's own is one of them"

    async def test_passes_over_a_tenant_where_nothing_was_written(self, tenancy: Tenancy) -> None:
        """Until something is, which it sees as soon as PostgreSQL has counted it."""
        counts: Counter[str] = Counter()
        sealer = Sealer(
            tenancy.database,
            tenancy.registry.everyone,
            every_s=0,
            all_every=10_000,
            count=lambda outcome: counts.update([outcome]),
        )
        await note(tenancy, "a")
        async with asyncio.timeout(40):
            while counts["done"] != 1:
                counts.clear()
                assert await sealer.look()
                await asyncio.sleep(0.02)
            assert (await verified(tenancy)).unsealed == 0
            await note(tenancy, "b")
            while (await verified(tenancy)).unsealed:
                assert await sealer.look()
                await asyncio.sleep(0.1)

    async def test_tells_up_to_when_everything_is_sealed(self, tenancy: Tenancy, bench: Bench) -> None:
        """Its round's beginning, or when the oldest was recorded that isn't, which may be a transfer."""
        told: list[datetime] = []
        # What PostgreSQL counts may be seconds behind, so nobody is passed over.
        sealer = Sealer(tenancy.database, tenancy.registry.everyone, every_s=0, all_every=1, sealed_until=told.append)
        before = datetime.now(UTC)
        assert await sealer.look()
        assert before <= told.pop() <= datetime.now(UTC)
        await bench.top_up(0, 500)
        first, *_ = await note(tenancy, "a", "b")
        async with attacking(tenancy) as other:
            await other.do(seal_queries.LOCK_HEAD)
            assert await sealer.look()
        assert before < told[0] < first.recorded_at, "the top-up is older"
        assert await seal_some(tenancy) is not None
        next_one, *_ = await note(tenancy, "c", "d")
        async with attacking(tenancy) as other:
            await other.do(seal_queries.LOCK_HEAD)
            assert await sealer.look()
        assert told[1] == next_one.recorded_at

    async def test_does_not_forget_a_trail_that_cannot_be_sealed(self, tenancy: Tenancy) -> None:
        """Its oldest record is the oldest of all; where nobody can even look, nothing is told."""
        told: list[datetime] = []
        # What PostgreSQL counts may be seconds behind, so nobody is passed over.
        sealer = Sealer(tenancy.database, tenancy.registry.everyone, every_s=0, all_every=1, sealed_until=told.append)
        failing = await tenancy.add("aaa")
        assert await sealer.look()
        record = new_record(CALLER, "thing.done", "a")
        async with tenancy.database.tx(failing) as tx:
            await service.record(tx, record)
        await tenancy.as_owner(failing, f"REVOKE INSERT ON audit_links FROM {failing.runtime_role}")
        for _ in range(2):
            await note(tenancy, "a")
            assert await sealer.look()
        assert told[1:] == [record.recorded_at] * 2
        await tenancy.as_owner(failing, "DROP TABLE audit_head")
        assert await sealer.look()
        assert len(told) == 3

    async def test_leaves_alone_what_is_behind_its_version(self, tenancy: Tenancy) -> None:
        """The tables may not be there yet."""
        await note(tenancy, "a")

        async def behind() -> list[TenantRef]:
            return [msgspec.structs.replace(tenancy.tenant, is_behind=True)]

        assert await Sealer(tenancy.database, behind).look()
        assert (await verified(tenancy)).unsealed > 0

    async def test_leaves_alone_what_is_being_deleted(self, tenancy: Tenancy) -> None:
        """Its tables may be gone at any time."""
        await tenancy.doom("testbank")
        tenancy.registry.expire()
        assert await Sealer(tenancy.database, tenancy.registry.everyone).look()

    async def test_works_at_a_round_until_it_is_cancelled(self, tenancy: Tenancy) -> None:
        """As a room of the application does."""
        await note(tenancy, "a")
        task = asyncio.create_task(Sealer(tenancy.database, tenancy.registry.everyone, every_s=0.05).run())
        async with asyncio.timeout(20):
            while (await verified(tenancy)).unsealed:
                await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await tenancy.database.settle()
