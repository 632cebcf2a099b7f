"""What an event of the tenant's stream means to a third party, and how it is said: pure decisions.

One event of the stream becomes at most one notification per third party and resource. What it says is a security event
token, whose claims name the resource and nothing of its content: whoever gets one comes and reads.

Sources: RFC 8417; RFC 8935, sections 2.3 and 2.4; Open Banking Event Notification API 4.0, with the codes of
``OBEventType1Code``; of accounts that can't pay any more, Domestic VRP Consents 4.0, "Event Notification for changes to
DebtorAccount".
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.platform import Event
from billfold.ids import Prefix
from billfold_server.consents.service import ConsentKind

__all__ = [
    "EVENTS",
    "LINKED",
    "SERVED_VERSIONS",
    "EventType",
    "Notice",
    "Scope",
    "claims_of",
    "endpoint_of",
    "linked_notice",
    "notice_of",
    "read_types",
    "refusal_in",
]

EventType = Literal[
    "resource-update",
    "consent-authorization-revoked",
    "consent-access-revoked",
    "account-access-consent-linked-account-update",
    "domestic-vrp-consent-linked-account-update",
]
"""What third parties may be told of, by the ends of the names that tokens have for it."""

Scope = Literal["accounts", "payments", "fundsconfirmations"]
"""What a third party's token must allow for it to be told."""

_URN: Final = "urn:uk:org:openbanking:events:"
_RID: Final = "http://openbanking.org.uk/rid"
_RTY: Final = "http://openbanking.org.uk/rty"
_RLK: Final = "http://openbanking.org.uk/rlk"

_UPDATED: Final[EventType] = "resource-update"
_REVOKED: Final[EventType] = "consent-authorization-revoked"
_RESTS: Final[EventType] = "consent-access-revoked"
_LINKED: Final[EventType] = "account-access-consent-linked-account-update"
_PAYS: Final[EventType] = "domestic-vrp-consent-linked-account-update"

_NAMES: Final[dict[str, EventType]] = {
    "UK.OBIE.Resource-Update": _UPDATED,
    "UK.OBIE.Consent-Authorization-Revoked": _REVOKED,
    "UK.OBIE.Consent-Access-Revoked": _RESTS,
    "UK.OBIE.Account-Access-Consent-Linked-Account-Update": _LINKED,
    # The standard has a name for it in tokens and none among the codes; this one is made as the others are.
    "UK.OBIE.Domestic-VRP-Consent-Linked-Account-Update": _PAYS,
    **{f"{_URN}{name}": name for name in (_UPDATED, _REVOKED, _RESTS, _LINKED, _PAYS)},
}
"""What subscriptions call them: by the standard's codes, or as tokens do."""

SERVED_VERSIONS: Final = frozenset({"4.0", "v4.0"})
"""The versions of resources that there are."""

EVENTS: Final[Mapping[str, Sequence[EventType]]] = {
    "consent.authorised": (_UPDATED,),
    "consent.refused": (_UPDATED,),
    "consent.lapsed": (_UPDATED,),
    "consent.expired": (_UPDATED,),
    "consent.revoked": (_REVOKED, _UPDATED),
    # The consent stays as it is; what was opened by it is closed until the customer comes back. Version 4 has a name of
    # its own for that; who knows earlier ones alone waits for theirs.
    "consent.reauthentication_required": (_RESTS, _REVOKED),
    "consent.reauthenticated": (_UPDATED,),
    # Whatever else is said of a payment, this is said when its status changes.
    "payment.updated": (_UPDATED,),
}
"""Which types of the stream's events third parties are told of, and as what."""

_CLOSED: Final = "UK.OBIE.AccountClosure"

LINKED: Final[Mapping[str, Mapping[ConsentKind, tuple[EventType, str | None]]]] = {
    "wallet.closed": {"account_access": (_LINKED, _CLOSED), "domestic_vrp": (_PAYS, _CLOSED)},
    # A frozen wallet is read as before, but pays nothing. Why it is frozen is nobody's business, and has no code.
    "wallet.frozen": {"domestic_vrp": (_PAYS, None)},
}
"""What of a wallet is told to who has a consent about it: by the consent's kind as what, and why."""

_CONSENTS: Final[Mapping[str, tuple[Scope, str, str]]] = {
    "account_access": ("accounts", "account-access-consent", "aisp/account-access-consents"),
    "funds_confirmation": ("fundsconfirmations", "funds-confirmation-consent", "cbpii/funds-confirmation-consents"),
    "domestic_payment": ("payments", "domestic-payment-consent", "pisp/domestic-payment-consents"),
    "domestic_vrp": ("payments", "domestic-vrp-consent", "pisp/domestic-vrp-consents"),
}
_PAYMENTS: Final[Mapping[str, tuple[Scope, str, str]]] = {
    "domestic_payment": ("payments", "domestic-payment", "pisp/domestic-payments"),
    "domestic_vrp": ("payments", "domestic-vrp", "pisp/domestic-vrps"),
}
_RESOURCES: Final = {"consent": _CONSENTS, "payment": _PAYMENTS}


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a third party is to be told.

    Attributes:
        client_id: Who.
        event: The event of the stream.
        scope: What its token must allow.
        resource: The id of what it is about.
        kind: What that is, as tokens call it.
        path: Where it is, below the address of the interface's version.
        types: As what it is told.
        reason: Why, as a code, where the standard has one.
    """

    client_id: UUID
    event: Event
    scope: Scope
    resource: str
    kind: str
    path: str
    types: tuple[EventType, ...]
    reason: str | None = None


def read_types(named: Sequence[str] | None) -> frozenset[EventType]:
    """Return what a subscription is for: all there is, unless it names some.

    Raises:
        ValueError: It names something else, or names nothing.
    """
    if named is None:
        return frozenset(_NAMES.values())
    unknown = [name for name in named if name not in _NAMES]
    if unknown or not named:
        msg = "no such event type"
        raise ValueError(msg)
    return frozenset(_NAMES[name] for name in named)


def notice_of(event: Event) -> Notice | None:
    """Return what an event says to the third party whose consent or payment it is about, or None."""
    types, data = EVENTS.get(event.type), event.data
    family = _RESOURCES.get(event.type.partition(".")[0])
    if types is None or family is None or data.get("client_id") is None or data.get("kind") not in family:
        return None
    scope, kind, path = family[data["kind"]]
    return Notice(
        client_id=ids.decode(Prefix.CLIENT, data["client_id"]),
        event=event,
        scope=scope,
        resource=event.object_id,
        kind=kind,
        path=f"{path}/{event.object_id}",
        types=tuple(types),
    )


def linked_notice(event: Event, client_id: UUID, consent_id: str, of: ConsentKind) -> Notice | None:
    """Return what an event of a wallet says to a third party that has a consent of a kind about it, or None."""
    told = LINKED[event.type].get(of)
    if told is None:
        return None
    scope, kind, path = _CONSENTS[of]
    type_, reason = told
    return Notice(
        client_id=client_id,
        event=event,
        scope=scope,
        resource=consent_id,
        kind=kind,
        path=f"{path}/{consent_id}",
        types=(type_,),
        reason=reason,
    )


def claims_of(
    notice: Notice, wanted: Collection[EventType], *, issuer: str, root: str, jti: UUID, now: datetime
) -> dict[str, Any] | None:
    """Return what a token claims, or None where its reader wants to know nothing of it.

    Args:
        notice: What is to be said.
        wanted: What the reader wants to know of.
        issuer: The tenant's issuer, below which its interface is.
        root: The address of the interface's version below it.
        jti: The notification's id.
        now: The real time, for those who check tokens live in it; ``toe`` is on the tenant's clock.
    """
    types = [each for each in notice.types if each in wanted]
    if not types:
        return None
    link = f"{issuer}{root}/{notice.path}"
    subject = {
        "subject_type": f"{_RID}_{_RTY}",
        _RID: notice.resource,
        _RTY: notice.kind,
        _RLK: [{"version": "v4.0", "link": link}],
    }
    said = {"subject": subject} if notice.reason is None else {"reason": notice.reason, "subject": subject}
    return {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "jti": str(jti),
        "aud": ids.encode(Prefix.CLIENT, notice.client_id),
        "sub": link,
        "txn": notice.event.id,
        "toe": int(notice.event.occurred_at.timestamp()),
        "events": {f"{_URN}{each}": said for each in types},
    }


_RESOURCE: Final = "/event-notifications"


def endpoint_of(callback_url: str) -> str:
    """Return where notifications are sent: the resource of that name at the address that was given, or the address."""
    path, mark, query = callback_url.partition("?")
    path = path.rstrip("/")
    return f"{path if path.endswith(_RESOURCE) else path + _RESOURCE}{mark}{query}"


class _Refusal(msgspec.Struct, frozen=True):
    err: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    description: str = ""


_REFUSED: Final = 400
_WORDS: Final = 256
"""How many characters of a description are kept, as many as polling takes."""


def refusal_in(status: int, body: bytes) -> tuple[str, str] | None:
    """Return by which code and in which words an endpoint says that it can't take a token, or None where it doesn't."""
    if status != _REFUSED:
        return None
    try:
        said = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    # No text of the database's holds this character.
    code, words = (each.replace("\0", "\N{REPLACEMENT CHARACTER}") for each in (said.err, said.description))
    return code, words[:_WORDS]
