"""A consent as it stands at an instant, and as commands of the ledger's engine decide on it. Pure.

What moves money under a consent loads its row locked, so that ending and spending it come one after the other.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import consents as contract
from billfold.contract.consents import ConsentSide, ConsentStatus
from billfold.contract.events import CONSENT_CONSUMED, ConsentEventData
from billfold.ids import Prefix
from billfold_server.consents import rules
from billfold_server.consents.rows import Consent, Step
from billfold_server.consents.rules import By, ConsentKind
from billfold_server.ledger.service import Draft
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.manifest import OpenBanking

__all__ = ["ConsentRow", "UseRow", "agreed_end", "at", "check_usable", "consumed", "usable"]


def at(consent: Consent, now: datetime) -> Consent:
    """Return a consent as it stands at an instant, also where the job that writes it down is still to come."""
    event = rules.overdue(consent.status, ends_at=consent.ends_at, expires_at=consent.expires_at, now=now)
    if event is None:
        return consent
    return msgspec.structs.replace(
        consent,
        status=rules.next_status(consent.kind, consent.status, event),
        status_reason=rules.ENDED[event],
        status_updated_at=consent.ends_at,
        ended_at=consent.ends_at,
        ended_by="system",
    )


def agreed_end(consent: Consent, policy: OpenBanking) -> datetime:
    """Return when a consent ends by itself: one that nobody has authorised yet, when it would once somebody has."""
    if consent.authorised_at is not None:
        return consent.ends_at
    return rules.ends_at(
        kind=consent.kind,
        created_at=consent.created_at,
        expires_at=consent.expires_at,
        authorised_at=consent.created_at,
        pending_hours=policy.pending_hours,
        most_days=policy.consent_days,
    )


def check_usable(consent: Consent, kind: ConsentKind, now: datetime) -> None:
    """Refuse a consent that isn't for this, or can't be used now.

    Raises:
        errors.ConsentNotUsable: It isn't for this, isn't authorised, or has ended.
        errors.ReauthenticationRequired: The customer has to come back first.
    """
    if consent.kind != kind:
        raise errors.ConsentNotUsable("the consent is for something else", consent_status=consent.status)
    if consent.status != "AUTH":
        raise errors.ConsentNotUsable(consent_status=consent.status, consent_id=consent.wire_id)
    if consent.reauthenticate_by is not None and now >= consent.reauthenticate_by:
        raise errors.ReauthenticationRequired


class ConsentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A consent as the engine loads and writes it.

    Attributes:
        consent: Its row, locked.
        blocked: Whether the bank has blocked its third party.
        step: What the command does with it, for its history.
    """

    consent: Consent
    blocked: bool
    step: Step | None = None

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.consent.id


class UseRow(msgspec.Struct, frozen=True):
    """That a command has used a consent for something, once; it is added to what the hour has seen of that.

    Attributes:
        key: What was made by it.
        consent_id: Which consent.
        operation: For what.
        at: When, on the tenant's clock.
    """

    key: UUID
    consent_id: UUID
    operation: str
    at: datetime


def told_of(consent: Consent, by: By) -> ConsentEventData:
    """Return what the event of a consent's step says."""
    return ConsentEventData(
        id=consent.wire_id,
        kind=contract.ConsentKind(consent.kind),
        status=ConsentStatus(consent.status),
        client_id=ids.encode(Prefix.CLIENT, consent.client_id),
        party_id=None if consent.party_id is None else ids.encode(Prefix.PARTY, consent.party_id),
        by=ConsentSide(by),
    )


def usable(row: ConsentRow | None, kind: ConsentKind, caller: Caller, now: datetime) -> Consent:
    """Return a consent that a caller may use now, as ``service.use`` does in a transaction of its own.

    Raises:
        errors.ConsentNotFound: There is none.
        errors.ConsentOfAnother: It is another third party's, or the token is for another one.
        errors.ThirdPartyBlocked: The bank has blocked the third party.
        errors.ConsentNotUsable: It isn't for this, isn't authorised, or has ended.
        errors.ReauthenticationRequired: The customer has to come back first.
    """
    if row is None:
        raise errors.ConsentNotFound(param="consent_id")
    if row.consent.client_id != caller.client_id or caller.consent_id != row.consent.id:
        raise errors.ConsentOfAnother
    if row.blocked:
        raise errors.ThirdPartyBlocked
    consent = at(row.consent, now)
    check_usable(consent, kind, now)
    return consent


def consumed(draft: Draft, row: ConsentRow) -> ConsentRow:
    """Use a consent up, in the command that does what it was for, and return its row as it is then.

    Raises:
        errors.ConsentTransitionRefused: It isn't authorised, was used, or isn't for one thing alone.
    """
    former, now = row.consent, draft.now
    status = rules.next_status(former.kind, former.status, "consume")
    consent = msgspec.structs.replace(
        former, status=status, ended_by="tpp", ended_at=now, status_updated_at=now, version=former.version + 1
    )
    step = Step(
        id=draft.new_id(),
        event="consume",
        from_status=former.status,
        to_status=status,
        done_by="tpp",
        actor=draft.caller.actor,
        reason=None,
        request_id=draft.caller.request_id,
        happened_at=now,
        last_at=now,
        times=1,
    )
    # What it says tells the payment that was made by it.
    draft.told_event(CONSENT_CONSUMED, consent.wire_id)
    facts = {"kind": consent.kind, "from": former.status, "to": status, "by": "tpp"}
    draft.audit(CONSENT_CONSUMED.name, consent.wire_id, facts=facts)
    return ConsentRow(consent=consent, blocked=row.blocked, step=step)
