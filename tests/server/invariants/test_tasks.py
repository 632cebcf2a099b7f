"""The job that checks a tenant's books every day."""

import asyncio

import pytest

from billfold import ids
from billfold_server.db.jobs import JobKinds, JobRun, NewJob, enqueue
from billfold_server.db.runner import JobRunner
from billfold_server.invariants import service, tasks
from billfold_server.tenancy.clock import tenant_now
from tests.tenants import Tenancy


class TestTheDailyCheckOfLargeBooks:
    def test_may_take_longer_than_any_of_its_queries(self) -> None:
        """A check that is broken off tells nobody of anything, however often it is begun anew."""
        kinds = JobKinds()
        tasks.register(kinds)
        assert kinds[tasks.CHECK_JOB].retry.timeout_s * 1000 > service.STATEMENT_TIMEOUT_MS

    async def test_delays_no_other_job_of_its_tenant(self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch) -> None:
        """Holds end and rails are asked meanwhile."""
        ended: list[str] = []
        enough = asyncio.Event()

        async def check(*_: object) -> None:
            await enough.wait()
            ended.append("check")

        monkeypatch.setattr(tasks, "check", check)
        served = asyncio.Event()

        async def serve(_: JobRun) -> None:
            served.set()

        kinds = JobKinds()
        tasks.register(kinds)
        kinds.register("other", serve)
        runner = JobRunner(tenancy.database, kinds)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            now = await tenant_now(tx)
            await enqueue(tx, *(NewJob(id=ids.uuid7(), kind=kind, due_at=now) for kind in (tasks.CHECK_JOB, "other")))
        async with asyncio.timeout(30):
            await runner.run(tenancy.tenant)
        assert (served.is_set(), ended) == (True, [])
        enough.set()
        await runner.settle()
        assert ended == ["check"]
