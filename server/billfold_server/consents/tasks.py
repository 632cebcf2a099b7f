"""The room's jobs: what time does to consents, and what becomes of those of a client that is no more."""

from typing import Final

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents import service
from billfold_server.consents.telling import CLIENT_JOB, DUE_JOB, ClientEnded, Due
from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.tenancy.context import SYSTEM

__all__ = ["register"]

_AT_ONCE: Final = 100
"""Consents that are looked up at once."""


def register(kinds: JobKinds) -> None:
    """Say who does the jobs of this room.

    Nobody else ends what they are to end, so they are tried for about a day before they are dead letters.
    """
    kinds.register(DUE_JOB, _due, RetryPolicy(attempts=30))
    kinds.register(CLIENT_JOB, _end_client, RetryPolicy(attempts=30, timeout_s=900), apart=True)


async def _due(run: JobRun) -> None:
    """End a consent whose time has come, or have its customer come back, exactly once."""
    consent_id = ids.decode(Prefix.CONSENT, run.job.read(Due).consent_id)
    async with run.tx() as tx:
        await run.finish(tx)
        await service.catch_up(tx, consent_id)


async def _end_client(run: JobRun) -> None:
    """End what was allowed to a client that was disabled or deleted; who does it twice finds nothing left.

    Each ends in a transaction of its own, which waits for payments under it and holds up no others.
    """
    ended = run.job.read(ClientEnded)
    client_id = ids.decode(Prefix.CLIENT, ended.client_id)
    reason = "the third party was disabled"
    while True:
        async with run.tx() as tx:
            standing = await service.list_standing(tx, client_id, _AT_ONCE, until=ended.at)
        if not standing:
            return
        for each in standing:
            async with run.tx() as tx:
                await service.end_one(tx, each, actor=SYSTEM, by="system", reason=reason)
