"""The outbox against PostgreSQL."""

import asyncio
from datetime import UTC, datetime
from typing import cast

import asyncpg
import msgspec
import pytest

from billfold import ids
from billfold_server.db.outbox import NewEvent, emit, last_sequence, list_events
from billfold_server.db.wakeups import Work
from billfold_server.tenancy.transaction import TenantTx
from tests.apart import apart
from tests.explaining import Explaining
from tests.tenants import Tenancy

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def event(number: int, kind: str = "thing.changed") -> NewEvent:
    """Return an event that carries a number."""
    return NewEvent(
        id=ids.uuid7(), type=kind, object_id=f"obj_{number}", data=msgspec.json.encode({"n": number}), occurred_at=NOW
    )


async def emit_committed(tenancy: Tenancy, *events: NewEvent) -> None:
    """Commit events."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await emit(tx, *events)


async def emit_and_fail(tenancy: Tenancy, *events: NewEvent) -> None:
    """Emit events in a transaction that rolls back."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await emit(tx, *events)
        raise ZeroDivisionError


async def blocked(tenancy: Tenancy) -> None:
    """Wait until a session of the test's database waits for another's lock."""
    session = await asyncpg.connect(tenancy.admin_dsn)
    async with asyncio.timeout(30):
        while not await session.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            await asyncio.sleep(0.005)
    await session.close()


async def seen(tenancy: Tenancy, **filters: object) -> list[tuple[int, int]]:
    """Return sequence and number of the events that can be read."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        events = await list_events(tx, limit=100_000, **filters)  # type: ignore[arg-type]
    return [(found.sequence, found.data["n"]) for found in events]


class TestAnEvent:
    async def test_is_committed_with_its_change_or_not_at_all(self, tenancy: Tenancy):
        """A transaction that rolls back leaves no event."""
        with pytest.raises(ZeroDivisionError):
            await emit_and_fail(tenancy, event(1))
        await emit_committed(tenancy, event(2))
        assert await seen(tenancy) == [(1, 2)]

    async def test_is_written_in_the_order_in_which_it_was_given(self, tenancy: Tenancy):
        """Events of one statement keep their order, whatever their ids."""
        events = [event(number) for number in range(500)]
        await emit_committed(tenancy, *reversed(events))
        assert [number for _, number in await seen(tenancy)] == list(reversed(range(500)))

    async def test_wakes_the_relay_of_this_process(self, tenancy: Tenancy):
        """A commit with events asks for a visit, and a rollback doesn't."""
        with pytest.raises(ZeroDivisionError):
            await emit_and_fail(tenancy, event(1))
        assert tenancy.database.wakeups.take() == []
        await emit_committed(tenancy, event(2))
        assert [work for _, work in tenancy.database.wakeups.take()] == [Work.EVENTS]

    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE outbox_events SET data = '{}'",
            "UPDATE outbox_events SET type = 'other'",
            "TRUNCATE outbox_events",
        ],
    )
    async def test_cannot_be_changed_by_the_runtime_role(self, tenancy: Tenancy, sql: str):
        """What was emitted stays as it is, by privilege; it may only be deleted, which the retention does."""
        await emit_committed(tenancy, event(1))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(sql)

    async def test_is_found_by_type_and_behind_a_place(self, tenancy: Tenancy):
        """The list goes on behind a sequence, and narrows to a type."""
        await emit_committed(tenancy, event(1), event(2, "other.made"), event(3), event(4, "other.made"))
        assert await seen(tenancy, after=2) == [(3, 3), (4, 4)]
        assert await seen(tenancy, event_type="other.made") == [(2, 2), (4, 4)]
        assert await seen(tenancy, after=2, event_type="other.made") == [(4, 4)]
        both = [event(1).type, "other.made"]
        assert await seen(tenancy, after=1, each_type=both) == [(2, 2), (3, 3), (4, 4)]
        assert await seen(tenancy, each_type=["other.made", "never.made"]) == [(2, 2), (4, 4)]
        assert await seen(tenancy, each_type=[]) == []

    async def test_is_found_by_its_object(self, tenancy: Tenancy):
        """All that happened to one object, behind a place and of some types, is read without reading the stream."""
        new = [event(number % 400, "thing.made" if number < 400 else "thing.changed") for number in range(4000)]
        await emit_committed(tenancy, *new)
        await tenancy.as_owner(tenancy.tenant, "ANALYZE outbox_events")
        assert await seen(tenancy, object_id="obj_7", after=8) == [(number + 1, 7) for number in range(407, 4000, 400)]
        assert await seen(tenancy, object_id="obj_7", each_type=["thing.made"]) == [(8, 7)]
        assert await seen(tenancy, object_id="nobody") == []
        async with tenancy.database.tx(tenancy.tenant) as tx:
            explaining = Explaining(tx, ("outbox_events",))
            assert len(await list_events(cast("TenantTx", explaining), object_id="obj_7", limit=5)) == 5
        assert explaining.rows == 5

    async def test_of_another_partner_is_not_found_by_its_object(self, tenancy: Tenancy):
        """Who asks for a partner hears nothing of another's, whatever they ask by."""
        data = msgspec.json.encode({"n": 1, "partner_id": "ptn_1"})
        new = NewEvent(id=ids.uuid7(), type="partner_sandbox.ready", object_id="psb_1", data=data, occurred_at=NOW)
        await emit_committed(tenancy, new)
        assert await seen(tenancy, object_id="psb_1", of_partner="ptn_1") == [(1, 1)]
        assert await seen(tenancy, object_id="psb_1", of_partner="ptn_2") == []


class TestANumber:
    async def test_is_given_in_the_order_of_commits(self, tenancy: Tenancy):
        """Whoever emits while another's events aren't committed waits, and comes behind."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await emit(tx, event(1))
            second = apart(emit_committed(tenancy, event(2)))
            await blocked(tenancy)
            assert await apart(seen(tenancy)) == []
        await second
        assert await seen(tenancy) == [(1, 1), (2, 2)]

    async def test_is_given_anew_after_a_rollback(self, tenancy: Tenancy):
        """A transaction that fails leaves no gap, also where another waited for it."""
        with pytest.raises(ZeroDivisionError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await emit(tx, event(1))
                second = apart(emit_committed(tenancy, event(2)))
                await blocked(tenancy)
                raise ZeroDivisionError
        await second
        assert await seen(tenancy) == [(1, 2)]

    async def test_is_seen_by_a_reader_in_order_while_many_write(self, tenancy: Tenancy):
        """A reader that goes on from the last number it has seen misses nothing, while writers commit beside it."""
        tenant, database = tenancy.tenant, tenancy.database

        async def write(begin: int) -> None:
            for number in range(begin, begin + 40):
                await emit_committed(tenancy, event(number))

        async def read_on() -> list[int]:
            found: list[int] = []
            while len(found) < 200:
                async with database.tx(tenant) as tx:
                    events = await list_events(tx, after=found[-1] if found else 0)
                found += [one.sequence for one in events]
            return found

        read, *_ = await asyncio.gather(read_on(), *(write(begin * 40) for begin in range(5)))
        assert read == list(range(1, 201))
        assert sorted(number for _, number in await seen(tenancy)) == list(range(200))
        async with database.tx(tenant) as tx:
            assert await last_sequence(tx) == 200
