"""Claims of jobs that take long: each lasts some minutes, and is renewed for as long as whoever made it lives.

So what a process was doing that was killed is done by another one soon, however long it may take. One that couldn't
renew its claim in time, because the database was away or it stood still itself, ends what it does when it learns so.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from billfold_server.db import jobs
from billfold_server.db.jobs import JobRun, LeaseLostError, RetryPolicy

__all__ = ["renewed"]

log = structlog.get_logger(__name__)

_RENEWALS: Final = 4
"""How often a claim is renewed in the time it lasts, so that one renewal that fails loses nothing."""


@asynccontextmanager
async def renewed(run: JobRun, retry: RetryPolicy) -> AsyncIterator[None]:
    """Keep the claim of a job while it is being done, and as long as that may take. Open no transaction before.

    Raises:
        LeaseLostError: Another has claimed the job meanwhile, or it is gone.
    """
    if not retry.is_renewed:
        yield
        return
    held = asyncio.timeout(None)
    try:
        async with held:
            renewing = asyncio.create_task(_renew(run, retry, held), name=f"lease-{run.tenant.slug}")
            try:
                yield
            finally:
                renewing.cancel()
                # What comes next writes down how it went, over which no renewal may come.
                await asyncio.wait([renewing])
    except TimeoutError:
        if held.expired():
            raise LeaseLostError from None
        raise


async def _renew(run: JobRun, retry: RetryPolicy, holding: asyncio.Timeout) -> None:
    ends_s = time.monotonic() + retry.timeout_s
    # An attempt that doesn't end when its time is over keeps nobody from the job for as long as this process lives.
    while time.monotonic() < ends_s:
        await asyncio.sleep(retry.lease_s / _RENEWALS)
        try:
            async with run.tx() as tx:
                held = await jobs.renew(tx, run.job, retry.lease_s)
        except Exception:  # The next one may succeed; and if none does, whoever takes the job up does it again.
            log.exception("job_lease_not_renewed", kind=run.job.kind, tenant=run.tenant.slug)
        else:
            if not held:
                # Where it isn't because the job has just been finished, nothing is left to be ended.
                if not run.settled:
                    holding.reschedule(asyncio.get_running_loop().time())
                return
