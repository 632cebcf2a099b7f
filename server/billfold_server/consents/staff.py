"""What the bank's staff does: look at consents, end them, and keep third parties out."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import consents as contract
from billfold.contract import events
from billfold.contract.consents import BlockedThirdParty, BlockThirdParty, RequireReauthentication, RevokeConsent
from billfold.contract.events import EventType, ThirdPartyEventData
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.audit import service as audit
from billfold_server.consents import queries, sealing, service
from billfold_server.consents.queries import Block, Link, Organisation
from billfold_server.consents.rows import Consent, PreparedEvidence, Step, Use
from billfold_server.consents.standing import at
from billfold_server.db import outbox
from billfold_server.db.sets import write_all
from billfold_server.db.wakeups import Work
from billfold_server.http import idempotency
from billfold_server.http.reading import validation_failed
from billfold_server.http.routing import Call, Reply
from billfold_server.http.services import Services
from billfold_server.identity import service as identity
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "believed",
    "block",
    "keep_out",
    "load",
    "organisation",
    "record",
    "require_reauthentication",
    "rest_one",
    "revoke",
    "revoke_one",
    "shown",
    "shown_block",
    "shown_use",
    "tell_consents",
    "unblock",
]

_PAYING: Final = frozenset({"domestic_payment", "domestic_vrp"})
_MOST_STEPS: Final = 1_000


def _id(prefix: Prefix, value: UUID | None) -> str | None:
    return None if value is None else ids.encode(prefix, value)


def shown(consent: Consent) -> contract.Consent:
    """Return a consent as the contract has it."""
    return contract.Consent(**_members(consent))


async def tell_consents(call: Call, consent_ids: Sequence[UUID]) -> dict[UUID, contract.Consent]:
    """Return which of these ids are consents, with the consents as they stand at this moment, in one query."""
    async with call.tx() as tx:
        standings = await queries.find_standings(tx, consent_ids)
    return {each.consent.id: shown(at(each.consent, each.now)) for each in standings}


def _members(consent: Consent) -> dict[str, Any]:
    amount = None
    if consent.amount_minor is not None and consent.currency is not None:
        amount = Money(consent.amount_minor, consent.currency)
    same = {name: getattr(consent, name) for name in _SAME}
    return {
        **same,
        "id": consent.wire_id,
        "kind": contract.ConsentKind(consent.kind),
        "status": contract.ConsentStatus(consent.status),
        "ended_by": None if consent.ended_by is None else contract.ConsentSide(consent.ended_by),
        "client_id": ids.encode(Prefix.CLIENT, consent.client_id),
        "party_id": _id(Prefix.PARTY, consent.party_id),
        "user_id": _id(Prefix.USER, consent.user_id),
        "wallet_ids": [ids.encode(Prefix.WALLET, each) for each in consent.wallet_ids],
        "permissions": sorted(consent.permissions),
        "amount": amount,
        "sca_id": _id(Prefix.SCA_CHALLENGE if consent.kind in _PAYING else Prefix.SESSION, consent.sca_id),
    }


_SAME: Final = (
    "status_reason",
    "transactions_from",
    "transactions_to",
    "created_at",
    "status_updated_at",
    "authorised_at",
    "reauthenticate_by",
    "expires_at",
    "ends_at",
    "ended_at",
    "version",
)


class Kept(msgspec.Struct, frozen=True):
    """A consent with everything that is kept of it, as it is kept."""

    consent: Consent
    steps: list[Step]
    links: list[Link]


async def load(tx: TenantTx, consent_id: UUID) -> Kept:
    """Return a consent with everything that is kept of it.

    Raises:
        errors.NotFound: There is no such consent.
    """
    consent = _existing(await service.find(tx, consent_id))
    steps = await queries.list_history(tx, consent_id, after=None, limit=_MOST_STEPS)
    return Kept(consent, steps, await queries.list_evidence(tx, consent_id))


async def record(services: Services, tenant: TenantRef, kept: Kept) -> contract.ConsentRecord:
    """Return everything that is kept of a consent, opened, outside of any transaction.

    Raises:
        errors.KeysUnavailable: What is sealed can't be opened now.
    """
    (request,) = await sealing.open_requests(services, tenant, [kept.consent])
    return contract.ConsentRecord(
        **_members(kept.consent),
        request=None if request is None else msgspec.json.decode(request),
        terms=msgspec.json.decode(kept.consent.terms),
        history=[_shown_step(each) for each in kept.steps],
        evidence=await _opened(services, tenant, kept.links),
    )


async def _opened(services: Services, tenant: TenantRef, links: Sequence[Link]) -> list[contract.ConsentEvidence]:
    kept = [
        PreparedEvidence(id=each.id, consent_id=each.consent_id, sealed=each.sealed or b"", commitment=each.commitment)
        for each in links
    ]
    opened = await sealing.open_evidence(services, tenant, kept)
    return [
        contract.ConsentEvidence(
            number=link.number,
            digest=link.digest.hex(),
            recorded_at=link.recorded_at,
            shown=None if found is None else msgspec.json.decode(found[0].shown),
            text_version=None if found is None else found[0].text_version,
            language=None if found is None else found[0].language,
            shown_at=None if found is None else found[0].shown_at,
        )
        for link, found in zip(links, opened, strict=True)
    ]


def _shown_step(step: Step) -> contract.ConsentStep:
    return contract.ConsentStep(
        event=step.event,
        from_status=None if step.from_status is None else contract.ConsentStatus(step.from_status),
        to_status=None if step.to_status is None else contract.ConsentStatus(step.to_status),
        done_by=contract.ConsentSide(step.done_by),
        actor=step.actor,
        reason=step.reason,
        request_id=step.request_id,
        happened_at=step.happened_at,
        last_at=step.last_at,
        times=step.times,
    )


def shown_use(use: Use) -> contract.ConsentUse:
    """Return how often a consent was used, as the contract has it."""
    return contract.ConsentUse(hour=use.hour, operation=use.operation, times=use.times, last_at=use.last_at)


async def revoke(call: Call, consent_id: UUID, body: RevokeConsent) -> Reply[contract.Consent]:
    """End a consent in the bank's name; that it was tried in vain is written down, too.

    Raises:
        errors.NotFound: There is no such consent.
        errors.ConsentTransitionRefused: It has ended before.
    """

    async def work(tx: TenantTx) -> contract.Consent:
        return await revoke_one(tx, call.caller, consent_id, body.reason)

    return await _noted(call, work, body.reason)


async def revoke_one(tx: TenantTx, caller: Caller, consent_id: UUID, reason: str) -> contract.Consent:
    """End a consent in the bank's name.

    Raises:
        errors.NotFound: There is no such consent.
        errors.ConsentTransitionRefused: It has ended before.
    """
    try:
        return shown(await service.revoke(tx, consent_id, actor=caller, by="staff", reason=reason))
    except errors.ConsentNotFound:
        raise _nothing() from None


async def require_reauthentication(
    call: Call, consent_id: UUID, body: RequireReauthentication
) -> Reply[contract.Consent]:
    """Let a consent rest until its customer has come back; that it was tried in vain is written down, too.

    Raises:
        errors.NotFound: There is no such consent.
        errors.ConsentTransitionRefused: It isn't authorised, has ended, or is for one thing alone.
    """

    async def work(tx: TenantTx) -> contract.Consent:
        return await rest_one(tx, call.caller, consent_id, body.reason)

    return await _noted(call, work, body.reason)


async def rest_one(tx: TenantTx, caller: Caller, consent_id: UUID, reason: str) -> contract.Consent:
    """Let a consent rest until its customer has come back.

    Raises:
        errors.NotFound: There is no such consent.
        errors.ConsentTransitionRefused: It isn't authorised, has ended, or is for one thing alone.
    """
    try:
        return shown(await service.require_reauthentication(tx, consent_id, actor=caller, reason=reason))
    except errors.ConsentNotFound:
        raise _nothing() from None


async def _noted(
    call: Call, work: Callable[[TenantTx], Awaitable[contract.Consent]], reason: str
) -> Reply[contract.Consent]:
    """Do something to a consent once; a step that is refused is written down, with the reason that was given."""
    try:
        return await idempotency.once(call, work)
    except errors.ConsentTransitionRefused as refusal:
        await service.record_refused(
            call.services.database, call.tenant, call.caller, refusal, by="staff", reason=reason
        )
        raise


def _existing(consent: Consent | None) -> Consent:
    if consent is None:
        raise _nothing()
    return consent


def _nothing() -> errors.NotFound:
    return errors.NotFound("there is no such consent", param="consent_id")


# Third parties that are kept out.


def shown_block(block: Block) -> BlockedThirdParty:
    """Return a third party that is blocked, as the contract has it."""
    return BlockedThirdParty(
        client_id=_id(Prefix.CLIENT, block.client_id),
        **(block.third_party or {}),
        reason=block.reason,
        blocked_by=block.blocked_by,
        blocked_at=block.blocked_at,
    )


async def block(call: Call, body: BlockThirdParty) -> Reply[BlockedThirdParty]:
    """Keep a third party out: from its next request on, no consent of its opens anything.

    Raises:
        errors.NotFound: There is no such client, or no such directory.
        errors.ValidationFailed: It isn't named in one of the two ways.
    """
    whom = _named(body)

    async def work(tx: TenantTx) -> BlockedThirdParty:
        return await keep_out(tx, call.caller, whom, body.reason)

    return await idempotency.once(call, work, status=201)


def _named(body: BlockThirdParty) -> UUID | Organisation:
    """Return whom a request names: by a client, or as a directory does, and by nothing else."""
    if body.client_id is None:
        return organisation(body.directory, body.organisation_id)
    for param in ("directory", "organisation_id"):
        if getattr(body, param) is not None:
            raise validation_failed(param, "isn't taken beside client_id")
    return ids.decode(Prefix.CLIENT, body.client_id)


def organisation(directory: str | None, organisation_id: str | None) -> Organisation:
    """Return an organisation as its directory names it.

    Raises:
        errors.ValidationFailed: A part of the name isn't said.
    """
    if directory is None:
        raise validation_failed("directory", "is required")
    if organisation_id is None:
        raise validation_failed("organisation_id", "is required")
    return Organisation(directory=directory, organisation_id=organisation_id)


async def keep_out(tx: TenantTx, caller: Caller, whom: UUID | Organisation, reason: str) -> BlockedThirdParty:
    """Keep a third party out, with whatever it has registered and will register by its directory's statements.

    Its consents stay, and stand again when it is let in. A client for which no directory vouches is kept out alone.

    Args:
        tx: The transaction.
        caller: Who does.
        whom: One of its clients, or the organisation as its directory names it, of which nothing need be known here.
        reason: Why.

    Raises:
        errors.NotFound: There is no such client, or the tenant doesn't believe such a directory.
    """
    if isinstance(whom, UUID):
        if await identity.find_client(tx, whom) is None:
            raise errors.NotFound("there is no such client", param="client_id")
    elif whom.directory not in believed(tx.tenant):
        # A block by another name would keep nobody out, and look as if it did.
        raise errors.NotFound("the tenant believes no such directory", param="directory")
    now = await tenant_now(tx)
    while (fresh := await queries.block(tx, whom, reason, caller.actor, now)) is None:
        # Who is let in again at this very moment is blocked anew.
        if (found := await queries.find_block(tx, whom)) is not None:
            return shown_block(found)
    await _tell(tx, caller, events.THIRD_PARTY_BLOCKED, fresh, reason)
    return shown_block(fresh)


def believed(tenant: TenantRef) -> list[str]:
    """Return the directories whose statements a tenant believes."""
    return [each.issuer for each in tenant.manifest.registration.publishers]


async def unblock(tx: TenantTx, caller: Caller, whom: UUID | Organisation) -> None:
    """Let a third party in again, by whichever of its clients it is named, or as its directory names it.

    Raises:
        errors.NotFound: It isn't blocked.
    """
    former = await queries.unblock(tx, whom)
    if former is None:
        param = "client_id" if isinstance(whom, UUID) else "organisation_id"
        raise errors.NotFound("the third party isn't blocked", param=param)
    await _tell(tx, caller, events.THIRD_PARTY_UNBLOCKED, former, None)


async def _tell(
    tx: TenantTx, caller: Caller, happened: EventType[ThirdPartyEventData], block: Block, reason: str | None
) -> None:
    client_id = _id(Prefix.CLIENT, block.client_id)
    named = block.third_party or {}
    # What has no client is told of by the organisation's name; facts and data have all of it, with its directory.
    object_id = client_id or named["organisation_id"][:_LONGEST_ID]
    data = ThirdPartyEventData(client_id=client_id, **named)
    event = outbox.new_event(happened, object_id, data, await tenant_now(tx))
    entry = audit.new_record(caller, happened.name, object_id, reason=reason, facts=named)
    await write_all(tx, [*audit.writes([entry]), *outbox.writes([event])])
    tx.wake(Work.EVENTS)


_LONGEST_ID: Final = 100
"""How long an object's id is at most where it is told of."""
