"""Deletes what isn't to be kept any longer, and makes values known by a new key of fingerprints."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from billfold.contract.events import VAULT_TOKEN_DELETED
from billfold_server.audit import service as audit
from billfold_server.db.jobs import JobRun
from billfold_server.decryptor.service import Decryptor, Fingerprint, Outgoing, Refused
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens import queries, telling
from billfold_server.tokens.queries import NewValue
from billfold_server.tokens.rows import TokenRow

__all__ = ["reindex", "retain"]

_BATCH: Final = 500
_REINDEXED: Final = 100
_COUNTS_KEPT: Final = timedelta(days=2)
_NIL: Final = UUID(int=0)
_RETAINING: Final = Caller(actor="job:tokens.retain", client_id=_NIL)


async def retain(run: JobRun) -> None:
    """Delete a tenant's tokens that the manifest doesn't let be kept, in small transactions."""
    retention = run.tenant.manifest.tokenization.retention
    while True:
        async with run.tx() as tx:
            now = await tenant_now(tx)
            deleted = 0
            if retention.expired_days is not None:
                rows = await queries.delete_expired(tx, now - timedelta(days=retention.expired_days), _BATCH)
                deleted += await _deleted(tx, rows, now, "expired")
            if retention.unused_days is not None:
                rows = await queries.delete_unused(tx, now - timedelta(days=retention.unused_days), _BATCH)
                deleted += await _deleted(tx, rows, now, "unused")
            if not deleted:
                # Counts are of real time.
                await queries.clear_uses(tx, datetime.now(UTC) - _COUNTS_KEPT)
                await run.finish(tx)
                return


async def _deleted(tx: TenantTx, rows: Sequence[TokenRow], now: datetime, why: str) -> int:
    values = sorted({row.fingerprint_id for row in rows if row.fingerprint_id is not None})
    await queries.delete_fingerprints(tx, values)
    records = [
        audit.new_record(_RETAINING, VAULT_TOKEN_DELETED.name, row.wire_id, facts={"kind": row.kind.value, "why": why})
        for row in rows
    ]
    events = [telling.token_event(VAULT_TOKEN_DELETED, row, now) for row in rows]
    await telling.tell(tx, records=records, events=events)
    return len(rows)


# Fingerprints.


async def reindex(run: JobRun, decryptor: Decryptor) -> None:
    """Make every value known by the newest version of its key, and forget versions that no longer count.

    What is done is seen in the rows, so a run that ends early is taken up by the next. While it goes on values are
    found by either version.
    """
    async with run.tx() as tx:
        purposes = await queries.list_purposes(tx)
    for purpose in purposes:
        await _reindex(run, decryptor, purpose)


async def _reindex(run: JobRun, decryptor: Decryptor, purpose: str) -> None:
    known = await _newest(run, decryptor, purpose)
    if known is None:
        return
    after = _NIL
    while True:
        async with run.tx() as tx:
            rows = await queries.list_outdated(
                tx, purpose=purpose, version=known[0].version, after=after, limit=_REINDEXED
            )
        if not rows:
            break
        answers = await _fingerprints(run, decryptor, rows)
        new = [
            NewValue(each.digest, each.version, purpose, row.fingerprint_id)
            for row, answer in zip(rows, answers, strict=True)
            if not isinstance(answer, Refused) and row.fingerprint_id is not None
            for each in answer
        ]
        async with run.tx() as tx:
            # Of whom was forgotten meanwhile, or whose last token was deleted, nothing is made known again.
            held = await queries.hold_values(tx, sorted({each.id for each in new}))
            await queries.insert_values(tx, [each for each in new if each.id in held])
        after = rows[-1].fingerprint_id or after
    forgotten = _BATCH
    while forgotten == _BATCH:
        async with run.tx() as tx:
            forgotten = await queries.forget_versions(tx, purpose=purpose, before=known[-1].version, limit=_BATCH)


_ANY: Final = 2**31 - 1


async def _newest(run: JobRun, decryptor: Decryptor, purpose: str) -> list[Fingerprint] | None:
    """Return the fingerprints of some value, which tell what versions there are; None where none can be read.

    One alone may be damaged or forgotten, which says nothing of the others.
    """
    after = _NIL
    while True:
        async with run.tx() as tx:
            sample = await queries.list_outdated(tx, purpose=purpose, version=_ANY, after=after, limit=_REINDEXED)
        if not sample:
            return None
        for answer in await _fingerprints(run, decryptor, sample):
            if not isinstance(answer, Refused) and answer:
                return answer
        after = sample[-1].fingerprint_id or _NIL


async def _fingerprints(
    run: JobRun, decryptor: Decryptor, rows: Sequence[TokenRow]
) -> list[list[Fingerprint] | Refused]:
    asked = [Outgoing(token_id=row.id, kind=row.kind.value, sealed=row.value) for row in rows if row.value is not None]
    return await decryptor.refingerprint(run.tenant, asked)
