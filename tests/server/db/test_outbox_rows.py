"""Rows of the outbox that tell of several events, against PostgreSQL: readers see each event by itself."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import msgspec
import pytest

from billfold import ids
from billfold.contract.common import Response
from billfold.contract.events import EventType
from billfold.contract.platform import Event
from billfold.ids import Prefix
from billfold_server.db import outbox
from billfold_server.db.outbox import NewEvent, ToldEvent, emit, find_events, list_events
from billfold_server.tenancy.transaction import TenantTx
from tests.explaining import Explaining
from tests.tenants import Tenancy

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Thing(Response, frozen=True):
    """What a thing's own row says."""

    wire_id: str


async def tell(_tx: TenantTx, object_ids: Sequence[str]) -> Mapping[str, Response]:
    """Return what the rows of these things say."""
    return {each: Thing(wire_id=each) for each in object_ids}


SENT, KEPT = (EventType(f"thing.{name}", Thing, "A thing") for name in ("sent", "kept"))
outbox.told_by(tell, SENT, KEPT)


class Writer:
    """Commits events, and knows what has to be read of them.

    Attributes:
        expected: Number, id, type and object of each event, in order.
    """

    def __init__(self, tenancy: Tenancy) -> None:
        self._tenancy = tenancy
        self._made = 0
        self.expected: list[tuple[int, str, str, str]] = []

    async def commit(self, *kinds: EventType[Thing] | None) -> None:
        """Commit an event of each kind together; one of no kind has a row of its own, and says itself what happened."""
        events: list[NewEvent | ToldEvent] = []
        for kind in kinds:
            self._made += 1
            made = ids.uuid7_at(NOW + timedelta(microseconds=self._made))
            wire_id = ids.encode(Prefix.TRANSFER, made)
            name = "other.made" if kind is None else kind.name
            self.expected.append((self._made, ids.encode(Prefix.EVENT, made), name, wire_id))
            if kind is not None:
                told = ToldEvent(type=name, prefix=Prefix.TRANSFER, object_id=made, occurred_at=NOW)
                events.append(told)
                continue
            data = msgspec.json.encode(Thing(wire_id=wire_id))
            events.append(NewEvent(id=made, type=name, object_id=wire_id, data=data, occurred_at=NOW))
        async with self._tenancy.database.tx(self._tenancy.tenant) as tx:
            await emit(tx, *events)


@pytest.fixture
async def written(tenancy: Tenancy) -> Writer:
    """Events in rows of one, of several and of as many as fit into one, of transactions of one kind and of several."""
    writer = Writer(tenancy)
    await writer.commit(SENT)
    await writer.commit(None, SENT, SENT, None, SENT, KEPT, KEPT, SENT, SENT, SENT, None)
    await writer.commit(*[SENT] * 250)
    await writer.commit(*[KEPT] * 100, *[SENT] * 101)
    await writer.commit(None, None)
    await writer.commit(KEPT, SENT)
    return writer


def shown(events: Sequence[Event]) -> list[tuple[int, str, str, str]]:
    """Return number, id, type and object of events, having seen that each says what its object does."""
    assert all(each.data == {"wire_id": each.object_id} for each in events)
    return [(each.sequence, each.id, each.type, each.object_id) for each in events]


class TestRowsOfSeveralEvents:
    async def test_are_written_where_events_of_one_type_follow_one_another(self, tenancy: Tenancy, written: Writer):
        """A row tells of a hundred at most, and of none of another type or transaction."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            rows = await tx.fetch("SELECT sequence, cardinality(objects) AS told FROM outbox_events ORDER BY sequence")
        told = [row["told"] for row in rows]
        assert told == [None, None, 2, None, None, 2, 3, None, 100, 100, 50, 100, 100, None, None, None, None, None]
        assert rows[-1]["sequence"] == len(written.expected)

    @pytest.mark.parametrize("limit", [1, 7, 100, 1000])
    async def test_are_read_event_by_event_from_any_place(self, tenancy: Tenancy, written: Writer, limit: int):
        """A page begins and ends within a row as anywhere else, by whatever it is narrowed."""
        expected = written.expected
        places = [*range(16), 61, 62, 110, 111, 112, 113, 210, 262, 263, 362, 363, 463, 464, 465, 466, 467, 468]
        async with tenancy.database.tx(tenancy.tenant) as tx:
            for after in places:
                behind = expected[after:]
                assert shown(await list_events(tx, after=after, limit=limit)) == behind[:limit]
                some = [one for one in behind if one[2] == SENT.name]
                assert shown(await list_events(tx, after=after, limit=limit, event_type=SENT.name)) == some[:limit]
                some = [one for one in behind if one[2] != SENT.name]
                both = ["other.made", KEPT.name]
                assert shown(await list_events(tx, after=after, limit=limit, each_type=both)) == some[:limit]
                found = await list_events(tx, after=after, limit=limit, each_type=both, of_partner="ptn_1")
                assert shown(found) == some[:limit]
                for up_to in (after, after + 1, after + 40, after + 200):
                    until = [one for one in behind if one[0] <= up_to]
                    assert shown(await list_events(tx, after=after, limit=limit, up_to=up_to)) == until[:limit]
                    some = [one for one in until if one[2] == KEPT.name]
                    found = await list_events(tx, after=after, limit=limit, up_to=up_to, event_types=[KEPT.name])
                    assert shown(found) == some[:limit]

    async def test_are_found_by_number(self, tenancy: Tenancy, written: Writer):
        """Events of one row are each found by its own number, and what was deleted isn't."""
        numbers = [1, 3, 4, 12, 13, 100, 112, 362, 363, 466]
        async with tenancy.database.tx(tenancy.tenant) as tx:
            found = await find_events(tx, [*numbers, 467, 10_000])
            assert shown([found[number] for number in numbers]) == [written.expected[number - 1] for number in numbers]
            assert sorted(found) == [*numbers, 467]
            await tx.execute("DELETE FROM outbox_events WHERE sequence = 4")
            assert sorted(await find_events(tx, [2, 3, 4, 5])) == [2, 5]

    async def test_are_found_by_any_of_their_objects(self, tenancy: Tenancy, written: Writer):
        """Each object's event is found alone, and nothing by an id that is another kind's or nobody's."""
        told = list(written.expected)
        for _ in range(8):
            await written.commit(*[None] * 400, *[SENT] * 50)
        await tenancy.as_owner(tenancy.tenant, "ANALYZE outbox_events")
        async with tenancy.database.tx(tenancy.tenant) as tx:
            for one in told:
                assert shown(await list_events(tx, object_id=one[3])) == [one]
            number, _, name, object_id = written.expected[99]
            assert await list_events(tx, object_id=object_id, after=number) == []
            assert len(await list_events(tx, object_id=object_id, after=number - 1)) == 1
            assert await list_events(tx, object_id=object_id, each_type=["other.made"]) == []
            assert len(await list_events(tx, object_id=object_id, each_type=[name], of_partner="ptn_1")) == 1
            other = ids.encode(Prefix.JOURNAL_ENTRY, ids.decode(Prefix.TRANSFER, object_id))
            assert await list_events(tx, object_id=other) == []
            assert await list_events(tx, object_id=ids.encode(Prefix.TRANSFER, ids.uuid7_at(NOW))) == []
            assert await list_events(tx, object_id="thg_1") == []
            explaining = Explaining(tx, ("outbox_events",))
            assert len(await list_events(cast("TenantTx", explaining), object_id=object_id)) == 1
        assert explaining.rows == 1

    async def test_stay_until_all_of_them_may_go(self, tenancy: Tenancy, written: Writer):
        """A row of which a publisher has seen a part is kept whole."""
        place = "INSERT INTO publisher_cursors (publisher, sequence, failures, retry_at) VALUES ('file', $1, 0, now())"
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute(place, 50)
            assert await outbox.sweep(tx, NOW + timedelta(days=1), 1000) == 8
            assert shown(await list_events(tx, limit=1)) == [written.expected[12]]
            await tx.execute("UPDATE publisher_cursors SET sequence = 112")
            assert await outbox.sweep(tx, NOW + timedelta(days=1), 1000) == 1
            assert shown(await list_events(tx, limit=1)) == [written.expected[112]]
