"""What a tenant shows of itself: brand and currencies, clock, events and audit; and what operators see of tenants."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from billfold.contract.common import AuditRecordId, EventId, Instant, JobId, LongText, PartnerId, Request, Response
from billfold.contract.ledger import Digest
from billfold.money import CurrencyCode

__all__ = [
    "AUDIT_HEAD_TYPE",
    "AdvanceClock",
    "ApplyTenant",
    "AuditHead",
    "AuditHeadClaims",
    "AuditRecord",
    "ChangeTenantState",
    "DeadJob",
    "Event",
    "Health",
    "SandboxOf",
    "Slug",
    "Tenant",
    "TenantClock",
    "TenantInfo",
    "TenantState",
]

Slug = Annotated[
    str,
    Meta(
        min_length=2,
        max_length=40,
        pattern=r"^[a-z][a-z0-9_-]*[a-z0-9]$(?!\n)",
        description="The tenant's name in addresses.",
        examples=["demo_bank"],
    ),
]


class TenantState(StrEnum):
    """Whether a tenant is served."""

    PROVISIONING = "provisioning"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETING = "deleting"


KeysState = Literal[
    "ok",
    "sealed",
    "standby",
    "unreachable",
    "slow",
    "forbidden",
    "failing",
    "key_store_unreachable",
    "not_configured",
]
"""Whether keys are to be had, or why not."""

CardsState = Literal[KeysState, "decryptor_away"]
"""Whether the vault can be used, or why not."""


class Health(Response, frozen=True, kw_only=True):
    """That the server can be relied on."""

    status: Literal["ok"]
    warnings: Annotated[
        list[str],
        Meta(description="What should be seen to soon, though all is served: certificates that end, for one."),
    ] = []
    keys: Annotated[
        KeysState,
        Meta(
            description="Whether the keys to personal data are in reach, or why not. Without them what is sealed is "
            "refused with `keys_unavailable`, and everything else is served."
        ),
    ] = "ok"
    cards: Annotated[
        CardsState | UnsetType,
        Meta(
            description="Whether cards and other values of the vault can be taken in and told, or why not: the state "
            "of their keys, or `decryptor_away`. Without them the vault's operations are refused with "
            "`keys_unavailable`."
        ),
    ] = UNSET


class TenantInfo(Response, frozen=True, kw_only=True):
    """What a tenant says about itself to its own clients."""

    slug: str
    name: str
    brand: Annotated[dict[str, Any], Meta(description="Display name, colours and logo.")]
    currencies: list[str]
    features: list[str]
    sandbox: bool


class TenantClock(Response, frozen=True, kw_only=True):
    """The tenant's time, which drives holds, schedules and effective times."""

    now: Instant
    controllable: Annotated[bool, Meta(description="Whether it is a test clock that can be advanced.")]
    frozen: Annotated[bool, Meta(description="Whether it stands still between advances.")]


_FARTHEST_S: Final = 200 * 366 * 86_400
"""Further than from any present to where test clocks end, in seconds."""


class AdvanceClock(Request, frozen=True, kw_only=True):
    """An order to move a test clock forward, to an instant or by a while, and to freeze it there or let it run on.

    Exactly one of both is named.
    """

    to: Annotated[
        Instant | None,
        Meta(description="Where to: not before the tenant's present time, and before 2200-01-01T00:00:00Z."),
    ] = None
    by_s: Annotated[
        Annotated[float, Meta(ge=0, le=_FARTHEST_S)] | None,
        Meta(
            description="How far, in seconds, from where the clock is when it is moved, or is going already. By "
            "nothing it stands where it is, or runs on from there.",
            examples=[1800],
        ),
    ] = None
    freeze: bool = True

    def __post_init__(self) -> None:
        """Bring the instant to UTC, and refuse an order that says both how far and where to, or neither.

        Raises:
            ValueError: It does.
        """
        if (self.to is None) == (self.by_s is None):
            msg = "must name exactly one of to and by_s"
            raise ValueError(msg)
        self._to_utc("to")


class Event(Response, frozen=True, kw_only=True):
    """Something that happened, as others are told."""

    id: EventId
    sequence: Annotated[int, Meta(description="Place in the tenant's stream of events; without gaps.")]
    type: Annotated[str, Meta(examples=["transfer.posted"])]
    version: Annotated[
        int,
        Meta(
            ge=1,
            description="Version of what events of this type say in `data`. It counts up when something is taken "
            "away or changed; what is added leaves it as it is.",
            examples=[1],
        ),
    ]
    object_id: Annotated[str, Meta(description="Id of the object that it happened to.")]
    data: Annotated[
        dict[str, Any],
        Meta(description="What the event says of the object. Personal data is left out: read the object for it."),
    ]
    occurred_at: Instant


class AuditRecord(Response, frozen=True, kw_only=True):
    """Who did what, on which object, why, and in which request."""

    id: AuditRecordId
    actor: Annotated[
        str,
        Meta(
            description=(
                "Who acted: a person of the bank, of a partner or of the platform, and then ``facts.through`` says "
                "through which API client; else the API client, command line or job."
            )
        ),
    ]
    action: Annotated[str, Meta(examples=["wallet.frozen"])]
    object_id: str
    reason: str | None
    request_id: str | None
    facts: dict[str, Any]
    recorded_at: Instant


AUDIT_HEAD_TYPE: Final = "audit-head+jwt"
"""The ``typ`` of the header of an audit trail's signed head."""


class AuditHead(Response, frozen=True, kw_only=True):
    """The newest link of an audit trail's hash chain, signed: it stands for everything that is sealed so far.

    What was recorded is sealed within about a minute. Keep the head, or publish it: a trail that is changed later no
    longer leads to it.
    """

    number: Annotated[int, Meta(description="The link's number; 0 where nothing has been sealed.")]
    hash: Digest
    sealed_at: Annotated[Instant, Meta(description="When it was made; at number 0, when the chain began.")]
    jws: Annotated[
        str,
        Meta(
            description="A compact JWS (RFC 7515, ES256, `typ` audit-head+jwt) of `iss` and the members above, by a "
            "key of the issuer's JWKS."
        ),
    ]


class AuditHeadClaims(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a signed head says: the issuer, a tenant's or the platform's, and the members of ``AuditHead``."""

    iss: str
    number: int
    hash: str
    sealed_at: datetime


class ApplyTenant(Request, frozen=True, kw_only=True):
    """A tenant's manifest: creates the tenant, or changes it to what the manifest says."""

    slug: Slug
    manifest: Annotated[dict[str, Any], Meta(description="As in ``tenant.toml``; its JSON Schema is published.")]


class ChangeTenantState(Request, frozen=True, kw_only=True):
    """Why a tenant is suspended or resumed."""

    reason: LongText


class SandboxOf(Response, frozen=True, kw_only=True):
    """Whose sandbox a tenant is."""

    tenant: Annotated[str, Meta(description="Slug of the tenant at which the partner organisation is.")]
    partner_id: PartnerId


class Tenant(Response, frozen=True, kw_only=True):
    """A tenant as the platform's operators see it."""

    id: Annotated[str, Meta(examples=["ten_01m7w9tnzcejq9b78b81gh4nmw"])]
    slug: str
    name: str
    state: TenantState
    isolation: Annotated[
        str, Meta(description="``role`` or ``login``; ``unknown`` where this server can't read the tenant.")
    ]
    hosts: list[str]
    currencies: list[CurrencyCode]
    schema_version: Annotated[str | None, Meta(description="The newest migration that its schema has.")]
    created_at: Instant
    updated_at: Instant
    sandbox_of: Annotated[
        SandboxOf | None, Meta(description="Whose sandbox it is, where it belongs to a partner organisation.")
    ] = None
    unreadable: Annotated[
        str | None,
        Meta(
            description="Where and why this server can't read what is stored of the tenant, as a newer version may "
            "have written it: it doesn't serve the tenant, or as it knew it before, and shows of it what it can."
        ),
    ] = None


class DeadJob(Response, frozen=True, kw_only=True):
    """Something that was to be done for a tenant, and failed as often as it may."""

    id: JobId
    kind: Annotated[str, Meta(description="What was to be done.", examples=["payments.ask"])]
    attempts: Annotated[int, Meta(ge=1, description="How often it was tried.", examples=[8])]
    due_at: Annotated[Instant, Meta(description="When its last attempt was due, on the tenant's clock.")]
    died_at: Annotated[Instant, Meta(description="When its last attempt failed, on the real clock.")]
    last_error: Annotated[
        str | None,
        Meta(
            description="The code of the error with which its last attempt ended, or the name of the error's class. "
            "Its words are in the server's log, under the job's id: they may tell of people.",
            examples=["keys_unavailable"],
        ),
    ]
