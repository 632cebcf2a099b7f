"""What is deleted by itself once it has been kept for long enough."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from billfold import ids
from billfold_server.db import outbox
from billfold_server.db.jobs import Job, JobKinds, JobRun, NewJob, enqueue
from billfold_server.db.retention import Sweep
from billfold_server.db.runner import JobRunner
from billfold_server.keys.service import FORGOTTEN_JOB
from billfold_server.nats_settings import NatsSettings
from billfold_server.privacy import tasks
from billfold_server.privacy.service import SHRED_JOB
from billfold_server.rooms import SWEEPS
from billfold_server.streams import service as streams
from billfold_server.tenancy.manifest import Retention
from tests.parties import open_tenant_keys
from tests.tenants import Tenancy

NOBODY = UUID(int=0)
AGED = {
    "audit_records": (
        "INSERT INTO audit_records (id, actor, action, object_id, facts, recorded_at) "
        "VALUES ($1, 'system', 'test.done', 'x', '{}', $2)"
    ),
    "jobs": (
        "INSERT INTO jobs (id, kind, due_at, payload, status, attempts, died_at) "
        "VALUES ($1, 'test', $2, '{}', 'dead', 8, $2)"
    ),
    "approvals": (
        "INSERT INTO approvals (id, kind, request, made_by, client_id, idempotency_key, fingerprint, requested_at, "
        "expires_at, state) VALUES ($1, 'refund', '', 'x', $1, 'x', '', $2, $2, 'pending')"
    ),
    "grants": (
        "INSERT INTO grants (id, client_id, user_id, scopes, resources, details, amr, factor_ids, auth_time, "
        "created_at, revoked_at, reason) VALUES ($1, $1, $1, '{}', '{}', '[]', '{}', '{}', $2, $2, $2, 'over')"
    ),
}
"""How a row of each table is made that ages from an instant on."""


async def sweep(tenancy: Tenancy, *, batch: int = 2, sweeps: Sequence[Sweep] = SWEEPS) -> None:
    """Run the job, with transactions of a few rows."""
    kinds = JobKinds()
    # No key is asked for by what only deletes.
    tasks.register(kinds, sweeps, open_tenant_keys(""), batch=batch)
    now = datetime.now(UTC)
    job = Job(id=ids.uuid7(), kind=tasks.SWEEP, due_at=now, payload=b"{}", attempt=1, token=ids.uuid7())
    await kinds[tasks.SWEEP].handler(JobRun(tenancy.database, tenancy.tenant, job))


async def insert(tenancy: Tenancy, table: str, at: datetime, number: int) -> list[UUID]:
    """Write rows that are as old as an instant."""
    made = [ids.uuid7_at(at + timedelta(milliseconds=each)) for each in range(number)]
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await tx.executemany(AGED[table], [(each, at) for each in made])
    return made


async def rows(tenancy: Tenancy, table: str) -> set[UUID]:
    """Return the ids that a table has."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return {row["id"] for row in await tx.fetch(f"SELECT id FROM {table}")}  # noqa: S608 - a name of the test's


class TestWhatIsOld:
    """What is old."""

    async def test_keeps_nothing_else_waiting_however_much_it_is(self, tenancy: Tenancy):
        """While a run deletes what is old, the tenant's other jobs are done, and it is visited for its events."""
        held, done = asyncio.Event(), asyncio.Event()

        async def delete(*_: object) -> int:
            await held.wait()
            return 0

        async def note(_: JobRun) -> None:
            done.set()

        kinds = JobKinds()
        much = Sweep(name="much", kept="minutes", clock="real", work=delete)
        tasks.register(kinds, [much], open_tenant_keys(""))
        kinds.register("note", note)
        runner = JobRunner(tenancy.database, kinds)
        for kind in (tasks.SWEEP, "note"):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await enqueue(tx, NewJob(id=ids.uuid7(), kind=kind, due_at=datetime.now(UTC)))
            async with asyncio.timeout(30):
                await runner.run(tenancy.tenant)
        assert done.is_set()
        held.set()
        await runner.settle()

    @pytest.mark.parametrize("table", AGED)
    async def test_is_deleted_and_what_is_younger_stays(self, tenancy: Tenancy, table: str):
        """Both sides of the manifest's number of days, in more than one batch."""
        (kept,) = {each.kept for each in SWEEPS if each.name.endswith(table.removeprefix("audit_").replace("_", " "))}
        days = timedelta(days=getattr(Retention(), kept))
        now = datetime.now(UTC)
        old = await insert(tenancy, table, now - days - timedelta(hours=1), 5)
        young = await insert(tenancy, table, now - days + timedelta(hours=1), 3)
        await sweep(tenancy)
        left = await rows(tenancy, table)
        assert left & set(old) == set()
        assert left >= set(young)

    async def test_is_deleted_though_something_else_fails(self, tenancy: Tenancy):
        """One sweep that fails keeps no other from its work, and the run has failed all the same."""

        async def fail(*_: object) -> int:
            raise ZeroDivisionError

        old = await insert(tenancy, "jobs", datetime.now(UTC) - timedelta(days=10_000), 3)
        failing = Sweep(name="what fails", kept="minutes", clock="real", work=fail)
        with pytest.raises(ExceptionGroup) as raised:
            await sweep(tenancy, sweeps=[failing, *SWEEPS])
        assert [type(each) for each in raised.value.exceptions] == [ZeroDivisionError]
        assert await rows(tenancy, "jobs") & set(old) == set()

    @pytest.mark.parametrize("kind", [SHRED_JOB, FORGOTTEN_JOB])
    async def test_stays_if_it_has_to_forget_somebody(self, tenancy: Tenancy, kind: str):
        """A dead job that was to destroy somebody's keys, or what goes with them, isn't forgotten itself."""
        old = await insert(tenancy, "jobs", datetime.now(UTC) - timedelta(days=10_000), 2)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute("UPDATE jobs SET kind = $2 WHERE id = $1", old[0], kind)
        await sweep(tenancy)
        assert await rows(tenancy, "jobs") & set(old) == {old[0]}

    async def test_is_kept_for_as_long_as_the_manifest_says(self, tenancy: Tenancy):
        """Another number of days is another end."""
        manifest = msgspec.structs.replace(tenancy.tenant.manifest, retention=Retention(dead_jobs_days=1))
        other = msgspec.structs.replace(tenancy, tenant=msgspec.structs.replace(tenancy.tenant, manifest=manifest))
        await insert(tenancy, "jobs", datetime.now(UTC) - timedelta(days=2), 1)
        await sweep(tenancy)
        assert len(await rows(tenancy, "jobs")) == 1
        await sweep(other)
        assert await rows(tenancy, "jobs") == set()


class TestAnEvent:
    """An event."""

    async def test_waits_for_every_publisher_and_the_newest_stays(self, tenancy: Tenancy):
        """What a publisher hasn't seen is deleted by no age, and numbers go on where they were."""
        old = datetime.now(UTC) - timedelta(days=400)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute(
                "INSERT INTO outbox_events (sequence, id, type, object_id, data, occurred_at) "
                "SELECT n, gen_random_uuid(), 'test.done', 'x', '{}', $1 FROM generate_series(1, 10) AS n",
                old,
            )
            await tx.execute("UPDATE relay_head SET sequence = 10")
            await tx.execute("INSERT INTO publisher_cursors (publisher, sequence, failures) VALUES ('slow', 4, 0)")
        await sweep(tenancy)
        assert await _sequences(tenancy) == [5, 6, 7, 8, 9, 10]
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute("UPDATE publisher_cursors SET sequence = 10")
        await sweep(tenancy)
        assert await _sequences(tenancy) == [10]

    async def test_is_kept_for_as_long_as_endpoints_are_told_of_it(self, tenancy: Tenancy):
        """Who is away for three days is told of what they have missed, however short the manifest keeps it."""
        manifest = msgspec.structs.replace(tenancy.tenant.manifest, retention=Retention(events_days=1))
        short = msgspec.structs.replace(tenancy, tenant=msgspec.structs.replace(tenancy.tenant, manifest=manifest))
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute(
                "INSERT INTO outbox_events (sequence, id, type, object_id, data, occurred_at) "
                "SELECT n, gen_random_uuid(), 'test.done', 'x', '{}', now() - interval '84 hours' * (3 - n) "
                "FROM generate_series(1, 3) AS n"
            )
            await tx.execute("UPDATE relay_head SET sequence = 3")
            # A paused endpoint is to be told of the last two once it is enabled.
            await tx.execute(
                "INSERT INTO webhook_deliveries (id, endpoint_id, event_id, sequence, event_type, state, attempts, "
                "begun_at, created_at) SELECT gen_random_uuid(), gen_random_uuid(), id, sequence, type, 'waiting', 0, "
                "occurred_at, occurred_at FROM outbox_events"
            )
        await sweep(short)
        assert await _sequences(tenancy) == [2, 3]
        async with tenancy.database.tx(tenancy.tenant) as tx:
            kept = await tx.fetch("SELECT sequence FROM webhook_deliveries ORDER BY sequence")
        assert [row["sequence"] for row in kept] == [2, 3]

    async def test_waits_for_no_publisher_that_was_turned_off_long_ago(self, tenancy: Tenancy):
        """One that was at work within a week, wherever that was, is waited for, as is one that this process has."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute(
                "INSERT INTO outbox_events (sequence, id, type, object_id, data, occurred_at) "
                "SELECT n, gen_random_uuid(), 'test.done', 'x', '{}', $1 FROM generate_series(1, 5) AS n",
                datetime.now(UTC) - timedelta(days=400),
            )
            await tx.execute("UPDATE relay_head SET sequence = 5")
        left = []
        for at_work, turned_off in ((6, ["off"]), (8, []), (8, ["off"])):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(
                    "INSERT INTO publisher_cursors (publisher, sequence, failures, retry_at) VALUES ('off', 1, 0, $1) "
                    "ON CONFLICT (publisher) DO UPDATE SET retry_at = excluded.retry_at",
                    datetime.now(UTC) - timedelta(days=at_work),
                )
                await outbox.sweep(tx, datetime.now(UTC), 10, turned_off=turned_off)
            left.append(await _sequences(tenancy))
        assert left == [[2, 3, 4, 5], [2, 3, 4, 5], [5]]

    def test_waits_for_nats_where_it_is_published_there(self):
        """Where it isn't, the sweep of events knows that this process has no such publisher, and no other differs."""
        assert streams.sweeps(NatsSettings(nats_url="nats://127.0.0.1"), SWEEPS) == SWEEPS
        (changed,) = set(streams.sweeps(NatsSettings(), SWEEPS)) - set(SWEEPS)
        assert (changed.name, changed.work.keywords) == ("events", {"turned_off": ["nats"]})  # type: ignore[attr-defined]


async def _sequences(tenancy: Tenancy) -> list[int]:
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return [row["sequence"] for row in await tx.fetch("SELECT sequence FROM outbox_events ORDER BY sequence")]


class TestEvidence:
    """Evidence of what payers agreed to."""

    async def test_goes_with_its_time(self, tenancy: Tenancy):
        """A challenge is kept for the days that the manifest says."""
        user, now = ids.uuid7(), datetime.now(UTC)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute(
                "INSERT INTO users (id, login_realm, login_name, display_name, roles, state, handle, version, "
                "created_at, updated_at) VALUES ($1, 'staff', 'ada', 'Ada', '{}', 'invited', $2, 1, $3, $3)",
                user,
                bytes(32),
                now,
            )
            for age in (1_800, 1_850):
                await tx.execute(
                    "INSERT INTO sca_challenges (id, user_id, kind, nonce, digest, state, failures, created_at, "
                    "expires_at) VALUES ($1, $2, 'payment', $3, $3, 'open', 0, $4, $4)",
                    ids.uuid7(),
                    user,
                    bytes(32),
                    now - timedelta(days=age),
                )
        await sweep(tenancy)
        assert len(await rows(tenancy, "sca_challenges")) == 1
