"""The audit trail of what moves money, which has no records of its own."""

from collections.abc import AsyncIterator

import pytest_asyncio

from billfold import ids
from billfold.contract.platform import AuditRecord
from billfold.ids import Prefix
from billfold_server.audit import service
from tests.server.ledger.books import CALLER, Bench, decoded, open_engine
from tests.tenants import Tenancy


@pytest_asyncio.fixture
async def moved(tenancy: Tenancy) -> AsyncIterator[Bench]:
    """Return a bench on which money came in and moved twice."""
    bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await bench.add_wallets(2)
    await bench.top_up(0, 100)
    for _ in range(2):
        await bench.transfer(0, 1, 10)
    yield bench
    await bench.engine.close()


async def listed(bench: Bench, **filters: object) -> list[AuditRecord]:
    """Return the records that are listed."""
    async with bench.database.tx(bench.tenant) as tx:
        return await service.list_records(tx, **filters)  # type: ignore[arg-type]


class TestTheAuditTrail:
    """The audit trail."""

    async def test_tells_of_what_moved_in_its_place(self, moved: Bench) -> None:
        """Money that moved stands among the records, newest first, each once."""
        records = await listed(moved)
        actions = [record.action for record in records]
        assert actions[:3] == ["transfer.posted", "transfer.posted", "top_up.posted"]
        assert "wallet.created" in actions[3:]
        assert len({record.id for record in records}) == len(records)

    async def test_says_who_and_in_which_request(self, moved: Bench) -> None:
        """A record that is told from a transfer says what any other says."""
        transfer = decoded(await moved.transfer(0, 1, 5))
        (record,) = await listed(moved, object_id=transfer["id"])
        entry = ids.decode(Prefix.TRANSFER, transfer["id"])
        assert record.id == ids.encode(Prefix.AUDIT_RECORD, entry)
        assert (record.actor, record.request_id) == (CALLER.actor, CALLER.request_id)
        assert (record.action, record.reason, record.facts) == ("transfer.posted", None, {})
        assert record.recorded_at == ids.instant_of(entry)

    async def test_is_read_on_from_any_record(self, moved: Bench) -> None:
        """Pages of one record each make the whole."""
        whole, pages, before = await listed(moved), [], None
        while page := await listed(moved, before=before, limit=1):
            pages += page
            before = ids.decode(Prefix.AUDIT_RECORD, page[0].id)
        assert pages == whole

    async def test_is_filtered_by_what_was_done(self, moved: Bench) -> None:
        """Only what was asked for is listed."""
        assert [record.action for record in await listed(moved, action="top_up.posted")] == ["top_up.posted"]
        assert len(await listed(moved, action="transfer.posted")) == 2
        assert await listed(moved, action="withdrawal.posted") == []
