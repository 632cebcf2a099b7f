"""Claims of jobs that take long: each lasts some minutes, and is renewed for as long as whoever made it lives.

So what a process was doing that was killed is done by another one soon, however long it may take.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from billfold_server.db import jobs
from billfold_server.db.jobs import JobRun, RetryPolicy

__all__ = ["renewed"]

log = structlog.get_logger(__name__)

_RENEWALS: Final = 4
"""How often a claim is renewed in the time it lasts, so that one renewal that fails loses nothing."""


@asynccontextmanager
async def renewed(run: JobRun, retry: RetryPolicy) -> AsyncIterator[None]:
    """Keep the claim of a job while it is being done. Open no transaction before."""
    if retry.timeout_s < retry.lease_s:
        yield
        return
    renewing = asyncio.create_task(_renew(run, retry.lease_s), name=f"lease-{run.tenant.slug}")
    try:
        yield
    finally:
        renewing.cancel()
        # What comes next writes down how it went, over which no renewal may come.
        await asyncio.wait([renewing])


async def _renew(run: JobRun, lease_s: float) -> None:
    while True:
        await asyncio.sleep(lease_s / _RENEWALS)
        try:
            async with run.tx() as tx:
                held = await jobs.renew(tx, run.job, lease_s)
        except Exception:  # The next one may succeed; and if none does, whoever takes the job up does it again.
            log.exception("job_lease_not_renewed", kind=run.job.kind, tenant=run.tenant.slug)
        else:
            if not held:
                return
