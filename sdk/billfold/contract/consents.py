"""Consents as the bank sees them: what customers have allowed licensed third parties, and what became of it."""

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from billfold.contract.common import (
    ClientId,
    ConsentId,
    Directory,
    DirectoryOrganisation,
    DirectorySoftware,
    Instant,
    PartyId,
    Request,
    Response,
    Text,
    UserId,
    WalletId,
)
from billfold.money import Money

__all__ = [
    "BelievedDirectory",
    "BlockThirdParty",
    "BlockedThirdParty",
    "Consent",
    "ConsentEvidence",
    "ConsentKind",
    "ConsentRecord",
    "ConsentSide",
    "ConsentStatus",
    "ConsentStep",
    "ConsentUse",
    "NamedOrganisation",
    "RevokeConsent",
]

Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=500,
        pattern="^[^\\u0000]*$",
        description="Why, in words. Name no customer in it.",
        examples=["The customer has called us."],
    ),
]


class ConsentKind(StrEnum):
    """For what a consent is."""

    ACCOUNT_ACCESS = "account_access"
    FUNDS_CONFIRMATION = "funds_confirmation"
    DOMESTIC_PAYMENT = "domestic_payment"
    DOMESTIC_VRP = "domestic_vrp"


class ConsentStatus(StrEnum):
    """Where a consent stands, in the codes of UK Open Banking 4.0."""

    AWAITING_AUTHORISATION = "AWAU"
    AUTHORISED = "AUTH"
    REJECTED = "RJCT"
    CONSUMED = "COND"
    CANCELLED = "CANC"
    EXPIRED = "EXPD"


class ConsentSide(StrEnum):
    """Whose doing a step was."""

    PSU = "psu"
    TPP = "tpp"
    STAFF = "staff"
    SYSTEM = "system"
    TOKEN = "token"  # noqa: S105 - No secret: whoever revoked a token.


class Consent(Response, frozen=True, kw_only=True):
    """A consent. Its times are on the tenant's clock."""

    id: ConsentId
    kind: ConsentKind
    status: ConsentStatus
    status_reason: str | None
    ended_by: ConsentSide | None
    client_id: Annotated[ClientId, Meta(description="The third party that has asked for it.")]
    party_id: Annotated[PartyId | None, Meta(description="Whose it is, once authorised.")]
    user_id: Annotated[UserId | None, Meta(description="As whom they had signed in.")]
    wallet_ids: Annotated[list[WalletId], Meta(description="Which wallets it is about, once authorised.")]
    permissions: Annotated[list[str], Meta(description="What may be read.", examples=[["ReadBalances"]])]
    transactions_from: Instant | None
    transactions_to: Instant | None
    amount: Annotated[Money | None, Meta(description="Of a single payment.")]
    sca_id: Annotated[
        str | None,
        Meta(
            description="The strong authentication by which it was authorised: the approval of what may be paid, or "
            "else the sign-in. It opens nothing."
        ),
    ]
    created_at: Instant
    status_updated_at: Instant
    authorised_at: Instant | None
    reauthenticate_by: Annotated[Instant | None, Meta(description="When the customer has to authenticate again.")]
    expires_at: Annotated[Instant | None, Meta(description="The end that was asked for.")]
    ends_at: Annotated[Instant, Meta(description="When it ends by itself at the latest.")]
    ended_at: Instant | None
    version: int


class ConsentStep(Response, frozen=True, kw_only=True):
    """Something that has happened to a consent, or was refused."""

    event: Annotated[str, Meta(description="What.", examples=["authorise"])]
    from_status: ConsentStatus | None
    to_status: Annotated[ConsentStatus | None, Meta(description="Where it led; null where it was refused.")]
    done_by: ConsentSide
    actor: Annotated[str, Meta(description="Who exactly, as the audit names them.")]
    reason: str | None
    request_id: str | None
    happened_at: Instant
    last_at: Annotated[Instant, Meta(description="When last, of what was refused more than once.")]
    times: Annotated[int, Meta(description="How often.")]


class ConsentEvidence(Response, frozen=True, kw_only=True):
    """What a customer was shown when they decided, in the tenant's chain of evidence."""

    number: Annotated[int, Meta(description="Its place in the chain.")]
    digest: Annotated[str, Meta(description="SHA-256 over this link and the one before it, hexadecimal.")]
    recorded_at: Instant
    shown: Annotated[dict[str, Any] | None, Meta(description="What the page said; null once that was erased.")]
    text_version: str | None
    language: str | None
    shown_at: Annotated[Instant | None, Meta(description="When, on the real clock.")]


class ConsentRecord(Consent, frozen=True, kw_only=True):
    """A consent with everything that is kept of it."""

    request: Annotated[dict[str, Any] | None, Meta(description="What was asked for; null once that was erased.")]
    terms: Annotated[dict[str, Any], Meta(description="What of it binds later payments.")]
    history: list[ConsentStep]
    evidence: list[ConsentEvidence]


class ConsentUse(Response, frozen=True, kw_only=True):
    """How often a consent was used for one thing within one hour."""

    hour: Annotated[Instant, Meta(description="When the hour began.")]
    operation: Annotated[
        str,
        Meta(description="What for: a permission, a payment of the kind that was made, or `funds_confirmation`."),
    ]
    times: int
    last_at: Instant


class RevokeConsent(Request, frozen=True, kw_only=True):
    """Why a consent is ended."""

    reason: Reason


class RequireReauthentication(Request, frozen=True, kw_only=True):
    """Why a customer has to come back."""

    reason: Reason


BelievedDirectory = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=500,
        pattern=r"^[^\u0000-\u001f]*$(?!\n)",
        description="The issuer of its software statements: one of those that the tenant believes.",
        examples=["https://directory.openbanking.example"],
    ),
]
NamedOrganisation = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$(?!\n)",
        description="The organisation as the directory names it, letter by letter. It needn't have registered here.",
        examples=["0015800001HQQrZAAX"],
    ),
]


class BlockThirdParty(Request, frozen=True, kw_only=True):
    """Which third party is kept out, and why.

    It is named by any of its clients, or as its directory names the organisation: ``directory`` and
    ``organisation_id``, with no ``client_id``. Where a directory vouches for it, the whole organisation is kept out
    with all its software, as it is registered and will be; otherwise the client alone.
    """

    client_id: ClientId | None = None
    directory: BelievedDirectory | None = None
    organisation_id: NamedOrganisation | None = None
    reason: Reason


class BlockedThirdParty(Response, frozen=True, kw_only=True):
    """A third party that the bank keeps out.

    Where a directory vouches for it, all its clients are kept out, and it can't register another; otherwise the client
    alone. ``client_id`` is the one by which it was named; null, where it was named as the directory does.
    """

    client_id: ClientId | None
    directory: Directory = None
    organisation_id: DirectoryOrganisation = None
    software_id: DirectorySoftware = None
    reason: str
    blocked_by: Annotated[Text, Meta(description="The person or API client that has blocked it.")]
    blocked_at: Instant
