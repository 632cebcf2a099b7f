"""Consents as this room reads and writes them, and as others know them."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents.rules import By, ConsentKind, Event, Status

__all__ = [
    "COLUMNS",
    "Consent",
    "Evidence",
    "NewConsent",
    "Owner",
    "PreparedConsent",
    "PreparedEvidence",
    "Step",
    "Use",
    "read",
]


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """A consent, as its row stands.

    Attributes:
        id: ``con_…`` on the wire.
        kind: For what it is.
        client_id: The third party that has asked for it, the only one that may use it.
        status: Where it stands, as its row says; ``overdue`` in ``rules`` knows what time has made of it.
        status_reason: Why, in words.
        ended_by: Who has ended it.
        created_at: When it was asked for. All times are on the tenant's clock.
        status_updated_at: When its status changed last.
        expires_at: The end that was asked for.
        ends_at: When it ends by itself, which it always does.
        ended_at: When it ended.
        authorised_at: When the customer has allowed it, the first time.
        reauthenticate_by: Until when the customer's authentication holds; None where no other is asked for.
        permissions: What may be read, of ``account_access``.
        transactions_from: From when on transactions may be read.
        transactions_to: Until when.
        party_id: Whose consent it is, once authorised.
        user_id: As whom they had signed in.
        wallet_ids: Which of their wallets it is about, once authorised.
        sca_id: The strong authentication by which it was authorised: the challenge of what may be paid, or else the
            session of the sign-in, whose cookie it isn't.
        amount_minor: Of a single payment.
        currency: Of it.
        terms: What else was agreed that tells of nobody, as JSON; its form is the asking room's.
        request_sealed: What was asked for in full, sealed; ``service.open_request`` opens it.
        request_digest: Keyed digest of what a later request must repeat.
        version: Counts its changes.
    """

    id: UUID
    kind: ConsentKind
    client_id: UUID
    status: Status
    status_reason: str | None
    ended_by: By | None
    created_at: datetime
    status_updated_at: datetime
    expires_at: datetime | None
    ends_at: datetime
    ended_at: datetime | None
    authorised_at: datetime | None
    reauthenticate_by: datetime | None
    permissions: frozenset[str]
    transactions_from: datetime | None
    transactions_to: datetime | None
    party_id: UUID | None
    user_id: UUID | None
    wallet_ids: tuple[UUID, ...]
    sca_id: UUID | None
    amount_minor: int | None
    currency: str | None
    terms: bytes
    request_sealed: bytes
    request_digest: bytes
    version: int

    @property
    def wire_id(self) -> str:
        """Return the id as others see it."""
        return ids.encode(Prefix.CONSENT, self.id)


_AS_TEXT: Final = {"terms": "terms::text AS terms"}
COLUMNS: Final = ", ".join(_AS_TEXT.get(name, name) for name in Consent.__struct_fields__)
"""The columns of ``consents``, as ``read`` takes them."""


def read(row: Any) -> Consent:
    """Return the consent of a row that has ``COLUMNS``; what else the row has is passed over."""
    found = {name: row[name] for name in Consent.__struct_fields__}
    found["permissions"] = frozenset(found["permissions"])
    found["wallet_ids"] = tuple(found["wallet_ids"])
    found["terms"] = found["terms"].encode()
    return Consent(**found)


class NewConsent(msgspec.Struct, frozen=True, kw_only=True):
    """What a third party asks for.

    Attributes:
        kind: For what.
        client_id: Who asks.
        expires_at: Until when.
        authorise_by: By when it must be authorised, where that is earlier than the bank's own time for it.
        permissions: What may be read.
        transactions_from: From when on transactions may be read.
        transactions_to: Until when.
        amount_minor: Of a single payment.
        currency: Of it.
        terms: What else is asked for that tells of nobody, as a JSON object.
        request: The whole of it, as JSON; ``prepare`` seals it.
        repeated: The part that a later request must repeat, in its canonical form; the whole where it is empty.
    """

    kind: ConsentKind
    client_id: UUID
    expires_at: datetime | None = None
    authorise_by: datetime | None = None
    permissions: frozenset[str] = frozenset()
    transactions_from: datetime | None = None
    transactions_to: datetime | None = None
    amount_minor: int | None = None
    currency: str | None = None
    terms: bytes = b"{}"
    request: bytes = b"{}"
    repeated: bytes = b""


class PreparedConsent(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, sealed, so that a transaction can write it.

    Attributes:
        id: The consent's.
        new: What is asked for; its request isn't looked at any more.
        request_sealed: The request.
        request_digest: Of what must be repeated.
    """

    id: UUID
    new: NewConsent
    request_sealed: bytes
    request_digest: bytes


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer was shown when they decided.

    Attributes:
        shown: What the page said, as JSON.
        text_version: Which version of its text.
        language: In which language.
        shown_at: When, on the real clock.
    """

    shown: bytes
    text_version: str
    language: str
    shown_at: datetime


class PreparedEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence that is sealed under the key of whose it is, with its salted commitment.

    Attributes:
        id: The row's, to which what is sealed is bound.
        consent_id: Of which consent.
        sealed: The evidence and the salt.
        commitment: What is chained.
    """

    id: UUID
    consent_id: UUID
    sealed: bytes
    commitment: bytes


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who allows something.

    Attributes:
        user_id: As whom they have signed in.
        party_id: Who they are.
    """

    user_id: UUID
    party_id: UUID


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has happened to a consent, or was refused.

    Attributes:
        id: The row's.
        event: What; ``create`` is its beginning.
        from_status: Where it stood.
        to_status: Where it stands since then; None where it was refused.
        done_by: Whose doing it was.
        actor: Who exactly, as the audit names them.
        reason: Why, in words.
        request_id: In which request.
        happened_at: When, on the tenant's clock.
        last_at: When last, of what was refused more than once.
        times: How often.
    """

    id: UUID
    event: Event | str
    from_status: Status | None
    to_status: Status | None
    done_by: By
    actor: str
    reason: str | None
    request_id: str | None
    happened_at: datetime
    last_at: datetime
    times: int


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """How often a consent was used for one thing within one hour.

    Attributes:
        hour: When the hour began, on the tenant's clock.
        operation: What for.
        times: How often.
        last_at: When last.
    """

    hour: datetime
    operation: str
    times: int
    last_at: datetime
