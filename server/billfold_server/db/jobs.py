"""Jobs: what is to be done later, as rows that commit with the change that asks for it.

A job is claimed under a lease and done outside of the claiming transaction, so a process that is killed loses no job:
the lease ends, and another process takes it. What a job does inside the database it can make exactly once, by finishing
in the same transaction (``JobRun.finish``); whatever it does outside happens at least once and needs an idempotency
key of its own. A job that keeps failing becomes a dead letter, which is kept until somebody looks at it.

``due_at`` and the waits between attempts are on the tenant's clock; leases are on the real one, because processes die
in real time. What is done to another tenant than the one whose job it is waits on the real clock, too
(``RetryPolicy.real``): a test clock that stands must not keep it from being done.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold import errors
from billfold_server.db.personal import counted
from billfold_server.db.sets import Write, instants, texts, uuids, write_all
from billfold_server.db.wakeups import Work
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = [
    "DeadLetter",
    "Handler",
    "Job",
    "JobKind",
    "JobKinds",
    "JobRun",
    "LeaseLostError",
    "NewJob",
    "RetryPolicy",
    "backoff",
    "claim",
    "enqueue",
    "enqueue_or_hasten",
    "fail",
    "list_dead_letters",
    "release",
    "rest",
    "retry_dead_letter",
    "sweep",
    "writes",
]


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be done.

    Attributes:
        id: UUIDv7.
        kind: Under which its handler is registered.
        due_at: When, on the tenant's clock.
        payload: A JSON object; ids rather than copies of what they name.
        dedup_key: While a job of this kind with this key is unfinished, no other is added. It is for what must be done
            once, such as ending one hold; what has changed since a running job has begun isn't seen by that job.
    """

    id: UUID
    kind: str
    due_at: datetime
    payload: bytes = b"{}"
    dedup_key: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was claimed.

    Attributes:
        attempt: The first is 1. An attempt counts when it begins, so that a job which kills its worker ends, too.
        token: Names this claim. Nobody else's claim of the same job has it.
    """

    id: UUID
    kind: str
    due_at: datetime
    payload: bytes
    attempt: int
    token: UUID

    def read(self, payload_type: type[Any]) -> Any:
        """Return the payload as a type."""
        return msgspec.json.decode(self.payload, type=payload_type)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A job that failed too often.

    Attributes:
        last_error: The kind of error that the last attempt ended with, without its message, which may hold what was
            meant for the log alone.
    """

    id: UUID
    kind: str
    due_at: datetime
    payload: bytes
    attempts: int
    last_error: str | None
    died_at: datetime


LONGEST_CLAIM_S: Final = 7200
"""Longer than any process claims a job for, be it to do it or to let it rest."""

_LEASE_S: Final = 120
"""How long a claim lasts at most that is to do a job; one that takes longer is renewed meanwhile (``db.leases``)."""
_WRITING_S: Final = 10
"""How long it may take to write down how a job went."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often a kind of job is tried, how long one attempt may take, and how long to wait in between.

    Attributes:
        attempts: After so many it is a dead letter.
        first_wait_s: Wait after the first failure; it doubles with each further one. On the tenant's clock.
        longest_wait_s: But never more than this.
        timeout_s: An attempt that takes longer has failed. On the real clock.
        real: Whether the waits are on the real clock as well. Then a test clock that is moved passes such jobs by, and
            they are done meanwhile.
    """

    attempts: int = 8
    first_wait_s: float = 2.0
    longest_wait_s: float = 3600.0
    timeout_s: int = 30
    real: bool = False

    @property
    def lease_s(self) -> int:
        """How long a claim lasts: the attempt, and time to write down how it went; less where it is renewed."""
        return min(self.timeout_s + _WRITING_S, _LEASE_S)

    @property
    def is_renewed(self) -> bool:
        """Whether a claim is renewed while the job is being done, as it is too short for all of that."""
        return self.lease_s < self.timeout_s + _WRITING_S


Handler = Callable[["JobRun"], Awaitable[None]]
"""Does a job. Raising means "try again"; returning means "done", unless it has said so in a transaction already."""


class JobKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of job: who does it, and how often it is tried.

    Attributes:
        apart: Whether nothing else may wait for it, as it waits for others out there or takes long by itself: it runs
            beside the visits.
        at_once: How many of those that run apart are done at once in one process; None is as many as there are places.
            It is for what takes long by itself and comes to all tenants at one instant: each takes a connection, of
            which requests need some. Who moves a tenant's clock has no turn to wait for (``db.turns``).
    """

    name: str
    handler: Handler
    retry: RetryPolicy = RetryPolicy()
    apart: bool = False
    at_once: int | None = None


class JobKinds:
    """The registry of kinds. A process claims only what it knows, so older code leaves newer jobs alone."""

    def __init__(self) -> None:
        self._kinds: dict[str, JobKind] = {}

    def register(
        self,
        name: str,
        handler: Handler,
        retry: RetryPolicy | None = None,
        *,
        apart: bool = False,
        at_once: int | None = None,
    ) -> None:
        """Say who does a kind of job. The other arguments are those of ``JobKind``.

        Raises:
            ValueError: The kind has a handler already.
        """
        if name in self._kinds:
            msg = f"two handlers for jobs of kind {name}"
            raise ValueError(msg)
        retry = retry or RetryPolicy()
        rests_s = retry.longest_wait_s if retry.real else 0
        assert max(retry.lease_s, rests_s) < LONGEST_CLAIM_S, "a claim that is longer counts as none"
        assert at_once is None or apart, "what a visit does itself waits for no turn"
        self._kinds[name] = JobKind(name=name, handler=handler, retry=retry, apart=apart, at_once=at_once)

    def __getitem__(self, name: str) -> JobKind:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    @property
    def leases_s(self) -> Mapping[str, int]:
        """How long a claim of each kind lasts."""
        return {kind.name: kind.retry.lease_s for kind in self._kinds.values()}

    @property
    def on_tenants_clock(self) -> list[str]:
        """The kinds that a test clock doesn't pass by."""
        return [kind.name for kind in self._kinds.values() if not kind.retry.real]

    @property
    def in_line(self) -> list[str]:
        """The kinds that are done one after the other where a test clock stands."""
        return [kind.name for kind in self._kinds.values() if not kind.retry.real and not kind.apart]

    def leases_of(self, *, apart: bool, moving: bool = False) -> Mapping[str, int]:
        """How long a claim of each kind lasts, of those that run apart or of the others.

        Args:
            apart: Which ones.
            moving: Only those that are done while a test clock is being moved.
        """
        return {
            kind.name: kind.retry.lease_s
            for kind in self._kinds.values()
            if kind.apart is apart and (kind.retry.real or not moving)
        }


class LeaseLostError(Exception):
    """The job has been claimed by another since; whatever was done for it in this transaction must not commit."""


class JobRun:
    """One attempt at a job, as its handler sees it."""

    def __init__(self, database: Database, tenant: TenantRef, job: Job) -> None:
        self.database = database
        self.tenant = tenant
        self.job = job
        self.settled = False

    def tx(self) -> AbstractAsyncContextManager[TenantTx]:
        """Open a transaction of the job's tenant."""
        return self.database.tx(self.tenant)

    async def finish(self, tx: TenantTx) -> None:
        """Finish the job in a transaction, so that what else is in it happens exactly once.

        Raises:
            LeaseLostError: Another has claimed the job since. Let it pass, so that the transaction rolls back.
        """
        self._check(await tx.fetchval(_FINISH, self.job.id, self.job.token))

    async def postpone(self, tx: TenantTx, due_at: datetime) -> None:
        """Put the job off in a transaction, as a new job with all its attempts.

        Raises:
            LeaseLostError: Another has claimed the job since. Let it pass, so that the transaction rolls back.
        """
        self._check(await tx.fetchval(_POSTPONE, self.job.id, self.job.token, due_at))
        tx.wake(Work.JOBS)

    def _check(self, found: UUID | None) -> None:
        if found is None:
            raise LeaseLostError
        self.settled = True


_ENQUEUE = """
INSERT INTO jobs (id, kind, due_at, payload, dedup_key, status, attempts)
SELECT j.id, j.kind, j.due_at, j.payload::json, j.dedup_key, 'waiting', 0
FROM unnest($1::text::uuid[], $2::text::text[], $3::text::timestamptz[], $4::text::text[], $5::text::text[])
    AS j (id, kind, due_at, payload, dedup_key)
ON CONFLICT (kind, dedup_key) WHERE status = 'waiting' AND dedup_key IS NOT NULL DO NOTHING
"""

_FINISH = "DELETE FROM jobs WHERE id = $1 AND claimed_by = $2 RETURNING id"

_POSTPONE = """
UPDATE jobs SET due_at = $3, attempts = 0, claimed_by = NULL, claimed_until = NULL
WHERE id = $1 AND claimed_by = $2
RETURNING id
"""

# A claim that lasts longer than any does was made while PostgreSQL's clock was ahead, by who never came back.
_DUE = f"""
SELECT id, kind FROM jobs
WHERE status = 'waiting' AND due_at <= $1 AND kind = ANY($2::text[])
  AND (claimed_until IS NULL OR claimed_until <= now() OR claimed_until > now() + interval '{LONGEST_CLAIM_S} seconds')
ORDER BY due_at, id
LIMIT $3
FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - a constant

_CLAIM = """
UPDATE jobs AS j
SET claimed_by = c.token, claimed_until = now() + c.lease_s * interval '1 second', attempts = j.attempts + 1
FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS c (id, token, lease_s)
WHERE j.id = c.id
RETURNING j.id, j.kind, j.due_at, j.payload::text AS payload, j.attempts AS attempt, j.claimed_by AS token
"""

_RETRY = """
UPDATE jobs SET due_at = $3, last_error = $4, claimed_by = NULL, claimed_until = NULL
WHERE id = $1 AND claimed_by = $2
"""

# The claim goes on for as long as is to be waited: until it ends, nobody takes the job up.
_REST = """
UPDATE jobs SET claimed_until = now() + $3::float8 * interval '1 second', last_error = $4
WHERE id = $1 AND claimed_by = $2
"""

_RENEW = """
UPDATE jobs SET claimed_until = now() + $3::float8 * interval '1 second'
WHERE id = $1 AND claimed_by = $2
RETURNING id
"""

_BURY = """
UPDATE jobs SET status = 'dead', died_at = now(), last_error = $3, claimed_by = NULL, claimed_until = NULL
WHERE id = $1 AND claimed_by = $2
"""

_RELEASE = """
UPDATE jobs SET attempts = attempts - 1, claimed_by = NULL, claimed_until = NULL WHERE id = $1 AND claimed_by = $2
"""

_DEAD = """
SELECT id, kind, due_at, payload::text AS payload, attempts, last_error, died_at
FROM jobs
WHERE status = 'dead' AND ($1::uuid IS NULL OR id > $1)
ORDER BY id
LIMIT $2
"""

_LOCK = """
SELECT id, kind, due_at, payload::text AS payload, attempts, last_error, died_at FROM jobs WHERE id = $1 FOR UPDATE
"""

_REVIVE = "UPDATE jobs SET status = 'waiting', attempts = 0, due_at = $2, died_at = NULL WHERE id = $1"


def writes(jobs: Sequence[NewJob]) -> list[Write]:
    """Return what writes jobs."""
    if not jobs:
        return []
    arguments = (
        uuids([job.id for job in jobs]),
        texts([job.kind for job in jobs]),
        instants([job.due_at for job in jobs]),
        texts([job.payload.decode() for job in jobs]),
        texts([job.dedup_key for job in jobs]),
    )
    return [Write(_ENQUEUE, arguments)]


async def enqueue(tx: TenantTx, *jobs: NewJob) -> None:
    """Write jobs in the transaction of the change that asks for them, with one statement."""
    if not jobs:
        return
    await write_all(tx, writes(jobs))
    tx.wake(Work.JOBS)


_HASTEN = """
UPDATE jobs AS j SET due_at = n.due_at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS n (kind, dedup_key, due_at)
WHERE j.kind = n.kind AND j.dedup_key = n.dedup_key AND j.status = 'waiting' AND j.due_at > n.due_at
"""


async def enqueue_or_hasten(tx: TenantTx, *jobs: NewJob) -> None:
    """Write jobs with keys, or have those that wait under them done as early as these would be."""
    assert all(job.dedup_key is not None for job in jobs), "only a job with a key can be there already"
    if not jobs:
        return
    await write_all(tx, writes(jobs))
    keys = ([job.kind for job in jobs], [job.dedup_key for job in jobs], [job.due_at for job in jobs])
    await tx.execute(_HASTEN, *keys)
    tx.wake(Work.JOBS)


async def claim(
    tx: TenantTx, *, now: datetime, leases_s: Mapping[str, int], tokens: Callable[[], UUID], limit: int
) -> list[Job]:
    """Claim the jobs that fell due first and that nobody else has.

    Args:
        tx: The tenant's transaction; the claim holds once it has committed.
        now: The tenant's time.
        leases_s: The kinds to claim, and how long a claim of each lasts.
        tokens: Makes a name for each claim.
        limit: How many at most.
    """
    due = await tx.fetch(_DUE, now, list(leases_s), limit)
    if not due:
        return []
    rows = await tx.fetch(
        _CLAIM, [row["id"] for row in due], [tokens() for _ in due], [leases_s[row["kind"]] for row in due]
    )
    return sorted((_job(row) for row in rows), key=lambda job: (job.due_at, job.id))


async def fail(tx: TenantTx, job: Job, *, retry_at: datetime | None, cause: str) -> None:
    """Write down that an attempt failed: the job is tried again, or is a dead letter where ``retry_at`` is None.

    Nothing happens if the job was finished, or was claimed by another since.
    """
    if retry_at is None:
        await tx.execute(_BURY, job.id, job.token, cause)
    else:
        await tx.execute(_RETRY, job.id, job.token, retry_at, cause)
        tx.wake(Work.JOBS)


async def rest(tx: TenantTx, job: Job, *, wait: timedelta, cause: str) -> None:
    """Write down that an attempt failed, and that the job is tried again after a while on the real clock.

    Nothing happens if the job was finished, or was claimed by another since.
    """
    await tx.execute(_REST, job.id, job.token, wait.total_seconds(), cause)
    tx.wake(Work.JOBS)


async def renew(tx: TenantTx, job: Job, lease_s: float) -> bool:
    """Let a claim last for so long from now on; tell whether it holds, as it doesn't once the job was finished."""
    return await tx.fetchval(_RENEW, job.id, job.token, lease_s) is not None


async def release(tx: TenantTx, job: Job) -> None:
    """Give a claim back, as if it had not been made."""
    await tx.execute(_RELEASE, job.id, job.token)
    tx.wake(Work.JOBS)


async def list_dead_letters(tx: TenantTx, *, after: UUID | None = None, limit: int = 100) -> list[DeadLetter]:
    """Return jobs that failed too often, by id."""
    return [_letter(row) for row in await tx.fetch(_DEAD, after, limit)]


async def retry_dead_letter(tx: TenantTx, job_id: UUID, *, due_at: datetime) -> DeadLetter:
    """Let a dead letter be tried again, with all its attempts, and return what it was.

    Raises:
        errors.NotFound: There is no such job; one that was done is gone.
        errors.JobStateRefuses: It isn't dead (any more), or a newer job with the same key waits already.
    """
    row = await tx.fetchrow(_LOCK, job_id)
    if row is None:
        raise errors.NotFound("there is no such job")
    if row["died_at"] is None:
        raise errors.JobStateRefuses("the job isn't dead: it waits to be tried, or is being done")
    try:
        await tx.execute(_REVIVE, job_id, due_at)
    except asyncpg.UniqueViolationError as error:
        raise errors.JobStateRefuses("a newer job with the same key waits already") from error
    tx.wake(Work.JOBS)
    return _letter(row)


_SWEEP = """
DELETE FROM jobs WHERE id IN (
    SELECT id FROM jobs WHERE status = 'dead' AND died_at < $1 AND kind <> ALL($3::text[]) ORDER BY id LIMIT $2
)
"""


async def sweep(tx: TenantTx, before: datetime, limit: int, *, spared: Sequence[str] = ()) -> int:
    """Delete dead letters that nobody has looked at since before an instant, and return how many.

    Args:
        tx: The tenant's transaction.
        before: The instant.
        limit: How many at most.
        spared: Kinds of which none is ever deleted, because what they have to do must be done, however late.
    """
    return counted(await tx.execute(_SWEEP, before, limit, list(spared)))


def backoff(policy: RetryPolicy, attempt: int, jitter: float) -> timedelta | None:
    """Return how long to wait after a failed attempt, or None where it was the last one.

    Half of the wait is fixed and half is chance, so that what failed together doesn't come back together.

    Args:
        policy: The kind's policy.
        attempt: Which attempt failed; the first is 1.
        jitter: Chance, from 0 to 1.
    """
    if attempt >= policy.attempts:
        return None
    whole_s = min(policy.first_wait_s * 2.0 ** min(attempt - 1, 40), policy.longest_wait_s)
    return timedelta(seconds=whole_s * (0.5 + 0.5 * jitter))


def _job(row: asyncpg.Record) -> Job:
    return Job(
        id=row["id"],
        kind=row["kind"],
        due_at=row["due_at"],
        payload=row["payload"].encode(),
        attempt=row["attempt"],
        token=row["token"],
    )


def _letter(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(**{**dict(row), "payload": row["payload"].encode()})
