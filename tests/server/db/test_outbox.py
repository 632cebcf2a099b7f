"""The outbox and the relay against PostgreSQL."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest

from billfold import ids
from billfold_server.db.outbox import NewEvent, emit, last_sequence, list_events
from billfold_server.db.relay import Relay, number_events
from billfold_server.db.wakeups import Work
from tests.apart import apart
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


async def numbered(tenancy: Tenancy) -> int | None:
    """Let a relay number events, and return what it says."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await number_events(tx)


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
        await Relay(tenancy.database).run(tenancy.tenant)
        assert await seen(tenancy) == [(1, 2)]

    async def test_is_not_read_before_it_has_a_number(self, tenancy: Tenancy):
        """Only the relay puts events into the stream."""
        await emit_committed(tenancy, event(1))
        assert await seen(tenancy) == []

    async def test_is_written_in_the_order_in_which_it_was_given(self, tenancy: Tenancy):
        """Events of one statement keep their order, whatever their ids."""
        events = [event(number) for number in range(500)]
        await emit_committed(tenancy, *reversed(events))
        await Relay(tenancy.database).run(tenancy.tenant)
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
            "DELETE FROM outbox_events",
            "UPDATE outbox_events SET data = '{}'",
            "UPDATE outbox_events SET type = 'other'",
            "TRUNCATE outbox_events",
        ],
    )
    async def test_cannot_be_changed_by_the_runtime_role(self, tenancy: Tenancy, sql: str):
        """What was emitted stays as it is, by privilege."""
        await emit_committed(tenancy, event(1))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(sql)

    async def test_is_found_by_type_and_behind_a_place(self, tenancy: Tenancy):
        """The list goes on behind a sequence, and narrows to a type."""
        await emit_committed(tenancy, event(1), event(2, "other.made"), event(3), event(4, "other.made"))
        await Relay(tenancy.database).run(tenancy.tenant)
        assert await seen(tenancy, after=2) == [(3, 3), (4, 4)]
        assert await seen(tenancy, event_type="other.made") == [(2, 2), (4, 4)]
        assert await seen(tenancy, after=2, event_type="other.made") == [(4, 4)]


class TestTheRelay:
    async def test_leaves_no_gap_for_a_transaction_that_commits_late(self, tenancy: Tenancy):
        """An event that was written first but committed last comes last, and no number is left for it."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await emit(tx, event(1))
            await apart(emit_committed(tenancy, event(2)))
            await apart(Relay(tenancy.database).run(tenancy.tenant))
        await Relay(tenancy.database).run(tenancy.tenant)
        assert await seen(tenancy) == [(1, 2), (2, 1)]

    async def test_never_changes_a_number(self, tenancy: Tenancy):
        """What was numbered keeps its place while more comes in."""
        relay = Relay(tenancy.database)
        await emit_committed(tenancy, event(1), event(2))
        await relay.run(tenancy.tenant)
        before = await seen(tenancy)
        await emit_committed(tenancy, event(3))
        await relay.run(tenancy.tenant)
        assert await seen(tenancy) == [*before, (3, 3)]

    async def test_leaves_when_another_one_is_at_it(self, tenancy: Tenancy):
        """It says that it doesn't know, instead of waiting or of numbering beside the other."""
        await emit_committed(tenancy, event(1))
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await number_events(tx) == 1
            assert await apart(numbered(tenancy)) is None
        assert await seen(tenancy) == [(1, 1)]

    async def test_competes_without_doubling_or_losing(self, tenancy: Tenancy):
        """Many relays beside many writers give each event one number, without gaps."""
        tenant, database = tenancy.tenant, tenancy.database

        async def write(begin: int) -> None:
            for number in range(begin, begin + 40):
                await emit_committed(tenancy, event(number))

        async def relay_until(done: asyncio.Event) -> None:
            while not done.is_set():
                await Relay(database).run(tenant)

        done = asyncio.Event()
        relays = [asyncio.create_task(relay_until(done)) for _ in range(3)]
        await asyncio.gather(*(write(begin * 40) for begin in range(5)))
        done.set()
        await asyncio.gather(*relays)
        await Relay(database).run(tenant)
        found = await seen(tenancy)
        assert [sequence for sequence, _ in found] == list(range(1, 201))
        assert sorted(number for _, number in found) == list(range(200))
        async with database.tx(tenant) as tx:
            assert await last_sequence(tx) == 200
