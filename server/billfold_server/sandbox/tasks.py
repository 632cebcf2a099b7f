"""The room's jobs: fetching what a silent rail had, destroying keys of who went with a reset, and making cards.

And those of partners' sandboxes, which need an administrator's hands. A process that has none leaves them to one that
has, or to ``billfold sandbox carry-out``.
"""

import asyncio
from functools import partial
from typing import Final

from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.http.services import Services
from billfold_server.sandbox.incoming import FETCH_JOB, Fetch, fetch_later
from billfold_server.sandbox.making import carry_out, follow_partner, follow_resumed
from billfold_server.sandbox.owned import FOLLOW_JOB, WORK_JOB, FollowPartner, WorkOn
from billfold_server.sandbox.resetting import SHRED_JOB, Shred, shred
from billfold_server.sandbox.seeding import CARDS_JOB

__all__ = ["CARDS", "register"]

CARDS: Final = "cards"
"""Under which name ``build_app`` keeps, in ``Services.rooms``, what makes the cards of a sandbox's customers."""

_AT_ONCE: Final = 2
"""On how many partners' sandboxes a process works at once: each holds an administrator's connections meanwhile."""


def register(kinds: JobKinds, services: Services) -> None:
    """Say who does the jobs of this room."""

    async def fetch(run: JobRun) -> None:
        await fetch_later(services, run.tenant, run.job.read(Fetch))

    async def destroy(run: JobRun) -> None:
        await shred(services.keys, run.tenant, run.job.read(Shred))

    async def make_cards(run: JobRun) -> None:
        await services.rooms[CARDS](services, run)

    turn = asyncio.Semaphore(_AT_ONCE)

    async def work(run: JobRun) -> None:
        async with turn:
            await carry_out(services, run.tenant, run.job.read(WorkOn).sandbox_id, run.finish)

    async def follow(run: JobRun) -> None:
        await follow_partner(services, run.tenant, run.job.read(FollowPartner).partner_id)

    services.tenants.when_resumed(partial(follow_resumed, services))
    # A bank that tries things out may have stopped its clock, which is no reason to keep its partners waiting.
    lasting = RetryPolicy(attempts=1000, first_wait_s=1.0, longest_wait_s=60.0, timeout_s=120, real=True)
    if services.tenants.may_administer:
        kinds.register(WORK_JOB, work, lasting, apart=True)
    kinds.register(FOLLOW_JOB, follow, lasting)
    # The process that sees cards starts with the server, which may take a moment longer.
    patient = RetryPolicy(attempts=1000, first_wait_s=0.5, longest_wait_s=60.0)
    kinds.register(CARDS_JOB, make_cards, patient)
    kinds.register(SHRED_JOB, destroy, RetryPolicy(attempts=100))
    kinds.register(FETCH_JOB, fetch, RetryPolicy(attempts=30, first_wait_s=60.0))
