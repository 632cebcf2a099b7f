"""Jobs of the room: what isn't to be kept is deleted, and values are made known by a new key."""

from typing import Final

from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.db.schedules import Schedule
from billfold_server.http.services import Services
from billfold_server.keys.service import FORGOTTEN_JOB, Forgotten
from billfold_server.parties import service as parties
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import SYSTEM
from billfold_server.tokens import service

__all__ = ["REINDEX", "RETAIN", "SCHEDULES", "register"]

RETAIN: Final = "tokens.retain"
REINDEX: Final = "tokens.reindex"

SCHEDULES: Final = (
    Schedule(name=RETAIN, kind=RETAIN, rule="every 1d"),
    Schedule(name=REINDEX, kind=REINDEX, rule="every 1d"),
)
_PATIENT: Final = RetryPolicy(timeout_s=900)
"""A million values take their time; an attempt that is cut short is taken up where it ended.

Nothing else of the tenant's waits for as long as that takes.
"""


def register(kinds: JobKinds, services: Services) -> None:
    """Say who does the jobs of this room."""

    async def forget(run: JobRun) -> None:
        """Let go of a party's tokens, whose values nobody can open any more, and of its name as a word to look for."""
        party_id = run.job.read(Forgotten).party_id
        async with run.tx() as tx:
            await service.forget(tx, SYSTEM, party_id, now=await tenant_now(tx))
            await parties.forget_words(tx, party_id)

    async def reindex(run: JobRun) -> None:
        await service.reindex(run, services)

    kinds.register(FORGOTTEN_JOB, forget, RetryPolicy(attempts=100))
    kinds.register(RETAIN, service.retain, _PATIENT, apart=True, at_once=2)
    kinds.register(REINDEX, reindex, _PATIENT, apart=True, at_once=2)
