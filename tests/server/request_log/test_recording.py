"""How requests get into the log, and out of it again."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from billfold import ids
from billfold_server.http.context import RequestContext
from billfold_server.http.metrics import Metrics
from billfold_server.http.receiving import Receiving
from billfold_server.request_log import queries, service
from billfold_server.request_log.recording import Recorder
from billfold_server.request_log.rows import RequestRow
from billfold_server.request_log.showing import READ_BYTES
from billfold_server.rooms import SWEEPS, operations
from billfold_server.tenancy.context import TenantRef
from tests.tenants import Tenancy, manifest

TRANSFER = next(each for each in operations() if each.operation_id == "createTransfer")


async def _nothing() -> Any:
    return {"type": "http.disconnect"}


def note(recorder: Recorder, tenant: TenantRef, body: bytes = b"{}") -> None:
    """Let a recorder see a request."""
    context = RequestContext(
        request_id="req_of_a_test",
        path="/v1/transfers",
        receiving=Receiving(_nothing, None, has_body=False),
        tenant=tenant,
        operation=TRANSFER,
        body=body,
    )
    recorder.note(context, "POST", b"", (201, [(b"content-type", b"application/json")], b"{}"), 0.01)


def outcomes(metrics: Metrics) -> dict[str, float]:
    """Return how many requests have had which outcome, where any had it."""
    lines = [
        line for line in metrics.exposition().decode().splitlines() if line.startswith("billfold_request_log_total")
    ]
    return {line.split('"')[1]: number for line in lines if (number := float(line.rsplit(" ", 1)[1]))}


async def rows(tenancy: Tenancy) -> list[RequestRow]:
    """Return what is in the log."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await queries.list_page(tx, queries.Wanted(), own=None, limit=5_000, before=None)


@pytest.fixture
def metrics() -> Metrics:
    """Return the counters of a process."""
    return Metrics()


class TestARecorder:
    async def test_drops_and_counts_what_it_has_no_room_for(self, tenancy: Tenancy, metrics: Metrics):
        """It remembers so many requests of a tenant until they are written, and of another tenant still as many."""
        recorder = Recorder(tenancy.database, tenancy.registry, metrics, ())
        for _ in range(1_500):
            note(recorder, tenancy.tenant)
        note(recorder, msgspec.structs.replace(tenancy.tenant, id=ids.uuid7()))
        assert outcomes(metrics) == {"dropped": 500.0}
        await recorder.write()
        assert outcomes(metrics)["written"] >= 1_000.0
        assert len(await rows(tenancy)) >= 1_000

    async def test_holds_bounded_memory(self, tenancy: Tenancy, metrics: Metrics):
        """What large bodies would take beyond that is dropped, and what is too large is never held."""
        recorder = Recorder(tenancy.database, tenancy.registry, metrics, ())
        for _ in range(200):
            note(recorder, tenancy.tenant, b"x" * (READ_BYTES - 1))
        dropped = outcomes(metrics)["dropped"]
        assert 60 <= dropped <= 100
        await recorder.write()
        note(recorder, tenancy.tenant, b"x" * (READ_BYTES + 1))
        await recorder.write()
        async with tenancy.database.tx(tenancy.tenant) as tx:
            found = await tx.fetchval("SELECT exchange FROM request_log ORDER BY id DESC LIMIT 1")
        assert msgspec.json.decode(found)["request"] == {"headers": {}, "body": None, "body_state": "too_large"}

    async def test_goes_on_after_what_could_not_be_written(self, tenancy: Tenancy, metrics: Metrics):
        """A failure of the database is counted and holds up nothing; what comes then is written."""
        recorder = Recorder(tenancy.database, tenancy.registry, metrics, ())
        note(recorder, msgspec.structs.replace(tenancy.tenant, runtime_role="nobody_at_all"))
        await tenancy.registry.find(tenancy.tenant.slug)
        await recorder.write()
        note(recorder, tenancy.tenant)
        await recorder.write()
        assert outcomes(metrics) == {"failed": 1.0, "written": 1.0}

    async def test_makes_nobody_wait_for_another_tenants(self, tenancy: Tenancy, metrics: Metrics):
        """Who looks into one tenant's log has that written, and what was seen of others waits for its turn."""
        recorder = Recorder(tenancy.database, tenancy.registry, metrics, ())
        note(recorder, tenancy.tenant)
        note(recorder, msgspec.structs.replace(tenancy.tenant, id=ids.uuid7(), runtime_role="nobody_at_all"))
        await recorder.write(tenancy.tenant.id)
        assert outcomes(metrics) == {"written": 1.0}

    async def test_loses_nothing_when_it_is_stopped_while_it_writes(self, tenancy: Tenancy, metrics: Metrics):
        """What is on its way into the log gets there, whoever is cancelled, and the last word waits for it."""
        recorder = Recorder(tenancy.database, tenancy.registry, metrics, ())
        for _ in range(300):
            note(recorder, tenancy.tenant)
        writing = asyncio.create_task(recorder.write())
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        assert writing.cancelled()
        note(recorder, tenancy.tenant)
        await recorder.write()
        assert len(await rows(tenancy)) == 301

    async def test_gives_others_their_turn_between_large_bodies(self, tenancy: Tenancy, metrics: Metrics):
        """A few large messages are made ready one at a time, not many of them in one go."""
        recorder, turns = Recorder(tenancy.database, tenancy.registry, metrics, ()), 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        for _ in range(6):
            note(recorder, tenancy.tenant, b'{"description": "' + b"x" * (READ_BYTES - 100) + b'"}')
        (waiting,) = recorder._waiting.values()
        others = asyncio.create_task(take_turns())
        await recorder._rows(waiting.requests)
        others.cancel()
        assert turns >= 6

    async def test_writes_a_batch_at_a_time(self, tenancy: Tenancy, metrics: Metrics):
        """Requests of one moment are one statement."""
        recorder = Recorder(tenancy.database, tenancy.registry, metrics, ())
        for _ in range(3):
            note(recorder, tenancy.tenant)
        await recorder.write()
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await tx.fetchval("SELECT count(DISTINCT xmin::text) FROM request_log") == 1


class TestATenant:
    @pytest.mark.parametrize(
        ("sandbox", "said", "expected"),
        [(True, {}, True), (False, {}, False), (True, {"enabled": False}, False), (False, {"enabled": True}, True)],
    )
    def test_logs_requests_as_its_manifest_says(self, sandbox: bool, said: dict[str, bool], expected: bool):  # noqa: FBT001
        """A sandbox does so unless it says otherwise, and any other only if it does."""
        assert manifest("x_bank", sandbox=sandbox, request_log=said).logs_requests is expected


class TestOldRequests:
    async def test_go_after_a_week_of_real_time(self, tenancy: Tenancy):
        """What is older is deleted in batches, and what isn't stays."""
        (sweep,) = [each for each in SWEEPS if each.name == "requests"]
        assert (sweep.clock, getattr(tenancy.tenant.manifest.retention, sweep.kept)) == ("real", 7)
        now = datetime.now(UTC)
        ages = [timedelta(days=days, minutes=minutes) for days in (6, 8, 30) for minutes in (0, 1)]
        new = [
            RequestRow(
                id=ids.uuid7_at(now - age),
                request_id="req_of_a_test",
                method="GET",
                operation=None,
                path=None,
                status=200,
                code=None,
                client_id=None,
                took_ms=1,
                exchange=b"{}",
            )
            for age in ages
        ]
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await queries.add(tx, new)
            before = now - timedelta(days=7)
            assert [await service.sweep(tx, before, 3) for _ in range(3)] == [3, 1, 0]
        assert {row.id for row in await rows(tenancy)} == {row.id for row in new[:2]}
