"""Jobs of tenants that failed for good, for the platform's operators: shown, and tried again."""

from uuid import UUID

from billfold import ids
from billfold.contract.platform import DeadJob
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db import jobs
from billfold_server.db.jobs import DeadLetter
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["list_page", "retry"]


async def list_page(tx: TenantTx, *, after: UUID | None, limit: int) -> list[DeadJob]:
    """Return a tenant's dead jobs by id, without what they were given, which may tell of people."""
    return [_view(letter) for letter in await jobs.list_dead_letters(tx, after=after, limit=limit)]


async def retry(tx: TenantTx, job_id: UUID, *, caller: Caller, reason: str | None = None) -> None:
    """Have a dead job tried again at once. It stands in the tenant's audit trail, as all that is done inside of one.

    Raises:
        errors.NotFound: There is no such job.
        errors.JobStateRefuses: It isn't dead any more, or a newer one waits that does the same.
    """
    was = _view(await jobs.retry_dead_letter(tx, job_id, due_at=await tenant_now(tx)))
    facts = {"kind": was.kind, "attempts": was.attempts, "last_error": was.last_error}
    await audit.record(tx, audit.new_record(caller, "job.retried", was.id, reason=reason, facts=facts))


def _view(letter: DeadLetter) -> DeadJob:
    return DeadJob(
        id=ids.encode(Prefix.JOB, letter.id),
        kind=letter.kind,
        attempts=letter.attempts,
        due_at=letter.due_at,
        died_at=letter.died_at,
        last_error=letter.last_error,
    )
