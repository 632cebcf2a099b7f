"""What happens to consents, in whose transaction: asked for, authorised, used, and ended, which each of them is.

A consent belongs to the third party that has asked for it. Its standing is read in the transaction of the request that
uses it, so whatever ends it counts from the next request on, on every worker.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.events import CONSENT_CREATED
from billfold.ids import Prefix
from billfold_server.consents import queries, rules
from billfold_server.consents.closing import end_all, end_one, hold_all, list_standing
from billfold_server.consents.ending import end_grants, ends_with_consents
from billfold_server.consents.evidence import add as add_evidence
from billfold_server.consents.rows import (
    Consent,
    Evidence,
    NewConsent,
    Owner,
    PreparedConsent,
    PreparedEvidence,
    Step,
    Use,
)
from billfold_server.consents.rules import By, ConsentKind, Event, Status, lasts
from billfold_server.consents.sealing import digest, open_requests, prepare, seal_evidence
from billfold_server.consents.standing import ConsentRow, UseRow, agreed_end, at, consumed, usable
from billfold_server.consents.stepping import WHY, changed_by, next_status, note_refused, take
from billfold_server.consents.stores import STORES
from billfold_server.consents.telling import CLIENT_JOB, Change, ClientEnded, step_of, tell
from billfold_server.consents.uses import Uses, uses_of
from billfold_server.consents.using import existing, get, own, use
from billfold_server.db.jobs import NewJob, enqueue
from billfold_server.http.services import Services
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import SYSTEM, Caller, TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = [
    "LOOKED_SQL",
    "STORES",
    "By",
    "Consent",
    "ConsentKind",
    "ConsentRow",
    "Event",
    "Evidence",
    "Looked",
    "NewConsent",
    "Owner",
    "PreparedConsent",
    "PreparedEvidence",
    "Status",
    "Step",
    "Use",
    "UseRow",
    "Uses",
    "agreed_end",
    "authorise",
    "catch_up",
    "check_admitted",
    "client_ended",
    "consume",
    "consumed",
    "create",
    "digest",
    "end_all",
    "end_one",
    "ends_with_consents",
    "find",
    "get",
    "hold",
    "hold_all",
    "is_admitted",
    "keep",
    "last_uses",
    "lasts",
    "list_for_staff",
    "list_history",
    "list_of_psu",
    "list_standing",
    "list_uses",
    "look",
    "looked_in",
    "open_request",
    "prepare",
    "record_refused",
    "refuse",
    "require_reauthentication",
    "revoke",
    "seal_evidence",
    "stands",
    "usable",
    "use",
    "uses_of",
]

_STANDS: Final[frozenset[Status]] = frozenset({"AUTH", "COND"})


async def create(tx: TenantTx, caller: Caller, prepared: PreparedConsent, now: datetime) -> Consent:
    """Write down what a third party asks for.

    Args:
        tx: The tenant's transaction.
        caller: The third party.
        prepared: What ``prepare`` has sealed.
        now: The tenant's time.

    Raises:
        errors.ThirdPartyBlocked: The bank has blocked it.
    """
    new = prepared.new
    if await queries.is_blocked(tx, new.client_id):
        raise errors.ThirdPartyBlocked
    facts = {name: getattr(new, name) for name in _TAKEN_OVER}
    end = _end(tx, new.kind, now, new.expires_at, None)
    consent = Consent(
        **facts,
        id=prepared.id,
        status="AWAU",
        status_reason=None,
        ended_by=None,
        created_at=now,
        status_updated_at=now,
        ends_at=end if new.authorise_by is None else min(end, new.authorise_by),
        ended_at=None,
        authorised_at=None,
        reauthenticate_by=None,
        party_id=None,
        user_id=None,
        wallet_ids=(),
        sca_id=None,
        request_sealed=prepared.request_sealed,
        request_digest=prepared.request_digest,
        version=1,
    )
    step = step_of("create", caller, by="tpp", now=now, from_status=None, to_status="AWAU")
    change = Change(caller=caller, consent=consent, type=CONSENT_CREATED, step=step, due=[consent.ends_at])
    await tell(tx, [change], rows=[queries.insert(consent)])
    return consent


_TAKEN_OVER: Final = frozenset(NewConsent.__struct_fields__) & frozenset(Consent.__struct_fields__)


async def find(tx: TenantTx, consent_id: UUID) -> Consent | None:
    """Return a consent as it stands at this moment, whoever's it is, or None."""
    standing = await queries.find_standing(tx, consent_id, lock=False)
    return None if standing is None else at(standing.consent, standing.now)


async def open_request(services: Services, tenant: TenantRef, consent: Consent) -> bytes:
    """Return what was asked for as JSON, outside of any transaction.

    Raises:
        errors.SubjectForgotten: It named somebody who was forgotten.
        errors.KeysUnavailable: It can't be opened now.
    """
    (opened,) = await open_requests(services, tenant, [consent])
    if opened is None:
        raise errors.SubjectForgotten
    return opened


async def record_refused(
    database: Database,
    tenant: TenantRef,
    caller: Caller,
    refusal: errors.ProblemError,
    *,
    by: By,
    reason: str | None = None,
) -> None:
    """Write down that a step was refused, after the transaction in which it was has been rolled back.

    Of refusals of one kind there is one row, which counts, and one audit record, of the first of them; so nobody fills
    a table with them.

    Args:
        database: Where.
        tenant: Whose consent.
        caller: Who has tried.
        refusal: The refusal; one that isn't about a consent's status is passed over.
        by: On which side.
        reason: Why it was tried, in words of whoever has tried; of several of one kind, the last one's stay.
    """
    facts = refusal.facts
    if not isinstance(refusal, errors.ConsentTransitionRefused | errors.ConsentNotUsable) or "consent_id" not in facts:
        return
    consent_id = ids.decode(Prefix.CONSENT, str(facts["consent_id"]))
    status = cast("Status", facts["consent_status"])
    async with database.tx(tenant) as tx:
        if await queries.find(tx, consent_id) is None:
            return
        now = await tenant_now(tx)
        event = str(facts.get("event", "use"))
        await note_refused(tx, caller, consent_id, status, event, by=by, now=now, facts=facts, reason=reason)


async def is_admitted(tx: TenantTx, client_id: UUID) -> bool:
    """Tell whether a third party isn't blocked."""
    return not await queries.is_blocked(tx, client_id)


async def check_admitted(tx: TenantTx, client_id: UUID) -> None:
    """See that a third party isn't blocked, where no consent of its is read anyway, also by what it registers just now.

    Raises:
        errors.ThirdPartyBlocked: The bank has blocked it.
    """
    if await queries.is_blocked(tx, client_id):
        raise errors.ThirdPartyBlocked


async def client_ended(tx: TenantTx, client_id: UUID) -> None:
    """See to it that the consents of a client that was disabled or deleted end, in transactions of their own.

    Its tokens are worth nothing from the same moment on, whatever becomes of its consents.
    """
    now = await tenant_now(tx)
    payload = msgspec.json.encode(ClientEnded(ids.encode(Prefix.CLIENT, client_id), now))
    await enqueue(tx, NewJob(id=ids.uuid7(), kind=CLIENT_JOB, due_at=now, payload=payload))


async def stands(tx: TenantTx, consent_id: UUID) -> bool:
    """Tell whether what was issued for a consent may still be shown: it is authorised, or was used as it should be.

    Either holds until the end of its time.

    What may be done with it is decided by ``use``.
    """
    found = (await look(tx, [consent_id])).get(consent_id)
    return found is not None and found.stands


class Looked(NamedTuple):
    """A consent at a moment.

    Attributes:
        consent: As it stands, without what was asked for.
        stands: What ``stands`` tells of it.
    """

    consent: Consent
    stands: bool


async def look(tx: TenantTx, consent_ids: Sequence[UUID]) -> dict[UUID, Looked]:
    """Return consents as they stand at this moment, whoever's they are, by one query; none where there is none."""
    return {each.consent.id: _looked(each) for each in await queries.find_standings(tx, consent_ids)}


LOOKED_SQL: Final = queries.STANDINGS
"""The query of all consents, to which a condition is added; ``looked_in`` reads its columns."""


def looked_in(row: Any) -> Looked | None:
    """Return a consent as it stands from a row that has the columns of ``LOOKED_SQL``; None where they are empty."""
    return None if row["id"] is None else _looked(queries.Standing(row))


def _looked(standing: queries.Standing) -> Looked:
    consent = at(standing.consent, standing.now)
    by = consent.reauthenticate_by
    in_time = standing.now < min(consent.ends_at, by or consent.ends_at)
    return Looked(consent, stands=not standing.blocked and consent.status in _STANDS and in_time)


async def hold(tx: TenantTx, consent_id: UUID) -> None:
    """Keep others from changing a consent until the transaction ends. It comes before the grants given by it."""
    await queries.lock(tx, consent_id)


async def authorise(
    tx: TenantTx,
    consent_id: UUID,
    *,
    client_id: UUID,
    owner: Owner,
    wallet_ids: tuple[UUID, ...],
    sca_id: UUID | None,
    evidence: PreparedEvidence,
    now: datetime,
    caller: Caller = SYSTEM,
) -> Consent:
    """Write down that a customer allows what was asked for; where they had before, that they have authenticated again.

    Args:
        tx: The transaction that opens the grant, as the last thing that it does.
        consent_id: Which consent.
        client_id: The third party in whose request it was named.
        owner: Who allows it.
        wallet_ids: About which of their wallets.
        sca_id: By which strong authentication.
        evidence: What ``seal_evidence`` has sealed of what they were shown.
        now: The tenant's time.
        caller: Who acts, for the audit.

    Raises:
        errors.ConsentNotFound: There is none.
        errors.ConsentOfAnother: It is another third party's, or another customer's.
        errors.ThirdPartyBlocked: The bank has blocked the third party.
        errors.ConsentTransitionRefused: It can't be authorised any more.
    """
    consent = await _lock_own(tx, consent_id, client_id, now)
    if await queries.is_blocked(tx, client_id):
        raise errors.ThirdPartyBlocked
    assert evidence.consent_id == consent_id, "evidence is sealed for its consent"
    if consent.party_id is not None and consent.party_id != owner.party_id:
        raise errors.ConsentOfAnother("the consent is another customer's")
    event: Event = "authorise" if consent.authorised_at is None else "reauthenticate"
    authorised_at = consent.authorised_at or now
    days = tx.tenant.manifest.open_banking.reauthentication_days
    changed = msgspec.structs.replace(
        consent,
        status=next_status(consent, event),
        status_reason=None,
        authorised_at=authorised_at,
        reauthenticate_by=rules.reauthenticate_by(consent.kind, now, days),
        ends_at=_end(tx, consent.kind, consent.created_at, consent.expires_at, authorised_at),
        party_id=owner.party_id,
        user_id=owner.user_id,
        wallet_ids=wallet_ids,
        sca_id=sca_id,
    )
    change = changed_by(consent, changed, event, caller, by="psu", now=now)
    rows = await add_evidence(tx, evidence, now)
    await tell(tx, [change], rows=[queries.update(change.consent), *rows])
    return change.consent


async def refuse(
    tx: TenantTx,
    consent_id: UUID,
    *,
    client_id: UUID,
    now: datetime,
    evidence: PreparedEvidence | None = None,
    reason: str | None = None,
    caller: Caller = SYSTEM,
) -> Consent:
    """Write down that a customer doesn't allow what was asked for.

    Raises:
        errors.ConsentNotFound: There is none.
        errors.ConsentOfAnother: It is another third party's.
        errors.ConsentTransitionRefused: There is nothing to refuse any more.
    """
    consent = await _lock_own(tx, consent_id, client_id, now)
    rows = [] if evidence is None else await add_evidence(tx, evidence, now)
    return await take(tx, caller, consent, "refuse", by="psu", now=now, reason=reason, rows=rows)


async def keep(tx: TenantTx, consent_id: UUID, *, client_id: UUID, now: datetime, caller: Caller) -> None:
    """Write down that a customer hasn't allowed again what lasts: it stays as it is, and rests where it rested.

    Raises:
        errors.ConsentNotFound: There is none.
        errors.ConsentOfAnother: It is another third party's.
    """
    consent = await _lock_own(tx, consent_id, client_id, now)
    facts = {"consent_id": consent.wire_id, "consent_status": consent.status, "event": "refuse"}
    await note_refused(tx, caller, consent.id, consent.status, "refuse", by="psu", now=now, facts=facts)


async def consume(tx: TenantTx, consent_id: UUID, *, client_id: UUID, now: datetime, caller: Caller) -> Consent:
    """Use a consent up, in the transaction that does what it was for.

    Raises:
        errors.ConsentNotFound: There is none.
        errors.ConsentOfAnother: It is another third party's.
        errors.ConsentTransitionRefused: It isn't authorised, was used, or isn't for one thing alone.
    """
    consent = await _lock_own(tx, consent_id, client_id, now)
    return await take(tx, caller, consent, "consume", by="tpp", now=now)


async def revoke(
    tx: TenantTx, consent_id: UUID, *, actor: Caller, by: By, reason: str | None, now: datetime | None = None
) -> Consent:
    """End a consent before its time. Whose it is has been seen before, by whoever lets somebody do this.

    Args:
        tx: The tenant's transaction.
        consent_id: Which.
        actor: Who ends it.
        by: On which side.
        reason: Why, in words.
        now: The tenant's time, where it is known already.

    Raises:
        errors.ConsentNotFound: There is none.
        errors.ConsentTransitionRefused: It has ended before.
    """
    now = now or await tenant_now(tx)
    consent = existing(await queries.lock(tx, consent_id))
    return await take(tx, actor, at(consent, now), "revoke", by=by, now=now, reason=reason)


async def require_reauthentication(tx: TenantTx, consent_id: UUID, *, actor: Caller, reason: str) -> Consent:
    """Let a consent that lasts rest in the bank's name until its customer has authenticated for it again.

    Args:
        tx: The tenant's transaction.
        consent_id: Which.
        actor: Who asks for it.
        reason: Why, in words.

    Raises:
        errors.ConsentNotFound: There is none.
        errors.ConsentTransitionRefused: It isn't authorised, has ended, or is for one thing alone.
    """
    now = await tenant_now(tx)
    consent = at(existing(await queries.lock(tx, consent_id)), now)
    by = now if consent.reauthenticate_by is None else min(now, consent.reauthenticate_by)
    resting = msgspec.structs.replace(consent, reauthenticate_by=by)
    return await take(tx, actor, resting, "require_reauthentication", by="staff", now=now, reason=reason)


async def catch_up(tx: TenantTx, consent_id: UUID) -> None:
    """Do what time asks for: end a consent and its grants, or have its customer come back. There may be nothing."""
    now = await tenant_now(tx)
    consent = await queries.lock(tx, consent_id)
    if consent is None or consent.status in rules.FINAL:
        if consent is not None and now >= consent.ends_at:
            # One that was used up has left its grants, by which the payment could be looked at.
            await end_grants(tx, WHY, consent_id=consent_id, caller=SYSTEM)
        return
    event = rules.overdue(consent.status, ends_at=consent.ends_at, expires_at=consent.expires_at, now=now)
    by = consent.reauthenticate_by
    if event is None and by is not None and now >= by and consent.status_reason is None:
        event = "require_reauthentication"
    if event is not None:
        await take(tx, SYSTEM, consent, event, by="system", now=now)


async def list_of_psu(tx: TenantTx, party_id: UUID, *, before: UUID | None = None, limit: int) -> list[Consent]:
    """Return what a customer has allowed third parties, ended or not, the newest first."""
    return await list_for_staff(tx, party_id=party_id, before=before, limit=limit)


async def list_for_staff(
    tx: TenantTx,
    *,
    client_id: UUID | None = None,
    party_id: UUID | None = None,
    kind: ConsentKind | None = None,
    status: Status | None = None,
    before: UUID | None = None,
    limit: int,
) -> list[Consent]:
    """Return consents as they stand at this moment, the newest first.

    Args:
        tx: The tenant's transaction.
        client_id: Only a third party's.
        party_id: Only a customer's.
        kind: Only of a kind.
        status: Only of a status.
        before: The consent after which to go on.
        limit: How many at most.
    """
    now = await tenant_now(tx)
    found = await queries.list_page(
        tx, before=before, client_id=client_id, party_id=party_id, kind=kind, status=status, limit=limit
    )
    return [at(each, now) for each in found]


async def list_history(tx: TenantTx, consent_id: UUID, *, after: UUID | None = None, limit: int) -> list[Step]:
    """Return what has happened to a consent, the oldest first. Whose it is has been seen before."""
    return await queries.list_history(tx, consent_id, after=after, limit=limit)


async def list_uses(
    tx: TenantTx, consent_id: UUID, *, before: tuple[datetime, str] | None = None, limit: int
) -> list[Use]:
    """Return what a consent was used for, the last hour first. Whose it is has been seen before."""
    return await queries.list_uses(tx, consent_id, before=before, limit=limit)


async def last_uses(tx: TenantTx, consent_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Return when each of these consents was used last; one that never was is left out."""
    return await queries.last_uses(tx, consent_ids)


async def _lock_own(tx: TenantTx, consent_id: UUID, client_id: UUID, now: datetime) -> Consent:
    return at(own(await queries.lock(tx, consent_id), client_id), now)


def _end(
    tx: TenantTx,
    kind: ConsentKind,
    created_at: datetime,
    expires_at: datetime | None,
    authorised_at: datetime | None,
) -> datetime:
    policy = tx.tenant.manifest.open_banking
    return rules.ends_at(
        kind=kind,
        created_at=created_at,
        expires_at=expires_at,
        authorised_at=authorised_at,
        pending_hours=policy.pending_hours,
        most_days=policy.consent_days,
    )
