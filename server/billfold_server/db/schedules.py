"""Schedules: jobs that come again, per tenant and on the tenant's clock.

A schedule is a row that knows its next occurrence. When that has come, a job is written and the row moves on, in one
transaction. An occurrence that was missed, because nothing was running, is made up for once; and while one is being
done or retried, no further one begins.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from cronsim import CronSim, CronSimError

from billfold_server.db.jobs import NewJob, enqueue
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["Schedule", "enqueue_due", "ensure_schedules", "next_occurrence", "skip_to"]


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A job that every tenant has again and again.

    Attributes:
        name: Under which its row is kept.
        kind: The kind of job.
        rule: ``every 15m`` (s, m, h or d; counted from the Unix epoch), or five cron fields in UTC.
        payload: The job's payload, a JSON object.
    """

    name: str
    kind: str
    rule: str
    payload: bytes = b"{}"

    def __post_init__(self) -> None:
        """Refuse a rule that can't be read.

        Raises:
            ValueError: It is neither an interval nor a cron expression.
        """
        next_occurrence(self.rule, datetime(2026, 1, 1, tzinfo=UTC))


_EVERY = re.compile(r"every ([1-9][0-9]{0,8})([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def next_occurrence(rule: str, after: datetime) -> datetime:
    """Return the first instant after another one at which a rule holds.

    Raises:
        ValueError: The rule can't be read, or never holds.
    """
    if match := _EVERY.fullmatch(rule):
        step = timedelta(seconds=int(match[1]) * _UNIT_S[match[2]])
        return _EPOCH + ((after - _EPOCH) // step + 1) * step
    try:
        return next(CronSim(rule, after.astimezone(UTC)))
    except (CronSimError, StopIteration):
        msg = f"{rule!r} is neither an interval such as 'every 15m' nor a cron expression that ever holds"
        raise ValueError(msg) from None


_KNOWN = "SELECT name, kind, rule, payload::text AS payload, next_at FROM job_schedules"

_ENSURE = """
INSERT INTO job_schedules (name, kind, rule, payload, next_at)
SELECT s.name, s.kind, s.rule, s.payload::json, s.next_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) AS s (name, kind, rule, payload, next_at)
ON CONFLICT (name) DO UPDATE
SET kind = excluded.kind, rule = excluded.rule, payload = excluded.payload, next_at = excluded.next_at
"""

_DUE = """
SELECT name, kind, rule, payload::text AS payload, next_at FROM job_schedules
WHERE next_at <= $1 AND kind = ANY($2::text[])
ORDER BY next_at, name
FOR UPDATE SKIP LOCKED
"""

_KINDS = "SELECT coalesce(array_agg(DISTINCT kind), '{}') FROM job_schedules"

_MOVE_ON = """
UPDATE job_schedules AS s SET next_at = n.next_at
FROM unnest($1::text[], $2::timestamptz[]) AS n (name, next_at)
WHERE s.name = n.name
"""


async def ensure_schedules(
    tx: TenantTx, schedules: Sequence[Schedule], *, now: datetime, is_real: bool = False
) -> None:
    """Give the tenant these schedules. One that is there as it should be keeps its next occurrence.

    Args:
        tx: The tenant's transaction.
        schedules: All that it is to have.
        now: The tenant's time.
        is_real: Whether that is the real time. What then comes next later than it would from now on was told by a clock
            that was ahead, and comes as if it hadn't been.
    """
    rows = {row["name"]: row for row in await tx.fetch(_KNOWN)}
    known = {name: (row["kind"], row["rule"], row["payload"]) for name, row in rows.items()}
    changed = [
        s
        for s in schedules
        if known.get(s.name) != (s.kind, s.rule, s.payload.decode())
        or (is_real and rows[s.name]["next_at"] > next_occurrence(s.rule, now))
    ]
    if changed:
        await tx.execute(
            _ENSURE,
            [schedule.name for schedule in changed],
            [schedule.kind for schedule in changed],
            [schedule.rule for schedule in changed],
            [schedule.payload.decode() for schedule in changed],
            [next_occurrence(schedule.rule, now) for schedule in changed],
        )


async def skip_to(tx: TenantTx, instant: datetime) -> None:
    """Leave out all occurrences up to an instant."""
    rows = await tx.fetch(_DUE, instant, await tx.fetchval(_KINDS))
    await tx.execute(_MOVE_ON, [row["name"] for row in rows], [next_occurrence(row["rule"], instant) for row in rows])


async def enqueue_due(tx: TenantTx, *, now: datetime, kinds: Sequence[str], new_id: Callable[[], UUID]) -> None:
    """Write the jobs of the schedules whose time has come, and move these schedules on.

    Args:
        tx: The tenant's transaction.
        now: The tenant's time.
        kinds: The kinds of job that this process knows.
        new_id: Makes an id.
    """
    due = await tx.fetch(_DUE, now, list(kinds))
    if not due:
        return
    await tx.execute(_MOVE_ON, [row["name"] for row in due], [next_occurrence(row["rule"], now) for row in due])
    jobs = [
        NewJob(
            id=new_id(),
            kind=row["kind"],
            due_at=row["next_at"],
            payload=row["payload"].encode(),
            dedup_key=f"schedule/{row['name']}",
        )
        for row in due
    ]
    await enqueue(tx, *jobs)
