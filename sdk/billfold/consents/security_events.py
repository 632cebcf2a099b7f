"""Security event tokens: what a bank tells a third party, and whether it may be believed (RFC 8417)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from billfold.auth._jwt import is_time
from billfold.consents.refusals import SecurityEventInvalid

__all__ = ["SecurityEvent", "SecurityEvents", "security_event_of"]


class SecurityEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has happened, as the bank has signed it.

    Attributes:
        id: By which it is acknowledged (``jti``).
        types: What has happened, by the names of event types.
        subject: What it is about, as an address or a name.
        resource_id: The id of the resource, where it is about one.
        resource_type: Of what kind that is.
        happened_at: When, where it is said.
        issued_at: When the token was made.
        transaction_id: What it belongs to (``txn``).
        claims: All that the token says.
    """

    id: str
    types: tuple[str, ...]
    subject: str | None
    resource_id: str | None
    resource_type: str | None
    happened_at: datetime | None
    issued_at: datetime
    transaction_id: str | None
    claims: Mapping[str, Any]


class SecurityEvents(msgspec.Struct, frozen=True, kw_only=True):
    """What one poll has brought. Acknowledge it by the next: ``poll(acknowledge=[each.id for each in …])``.

    Attributes:
        events: What has happened.
        invalid: What came but isn't believed, by its id; tell the bank of it by ``poll(refuse=…)``.
        more_available: Whether there is more.
    """

    events: tuple[SecurityEvent, ...]
    invalid: Mapping[str, SecurityEventInvalid]
    more_available: bool


def security_event_of(claims: Mapping[str, Any], *, issuer: str, audience: str, latest: float) -> SecurityEvent:
    """Return what a token says whose signature is verified, once it is seen that it is for us.

    Args:
        claims: What it says.
        issuer: The bank's authorization server.
        audience: Our client's id.
        latest: When it can have been made at the latest, in seconds since 1970.

    Raises:
        SecurityEventInvalid: It isn't, or lacks what every such token has.
    """
    if claims.get("iss") != issuer:
        raise SecurityEventInvalid("another server has issued it", err="invalid_issuer")
    if claims.get("aud") not in (audience, [audience]):
        raise SecurityEventInvalid("it is meant for another client", err="invalid_audience")
    issued_at, token_id, events = claims.get("iat"), claims.get("jti"), claims.get("events")
    if not is_time(issued_at) or float(str(issued_at)) > latest:
        raise SecurityEventInvalid("it says that it was made later than now")
    if not isinstance(token_id, str) or not token_id or not isinstance(events, dict) or not events:
        raise SecurityEventInvalid("it says nothing that has happened")
    subject: dict[str, Any] = next((each["subject"] for each in events.values() if _has_subject(each)), {})
    happened_at = claims.get("toe")
    return SecurityEvent(
        id=token_id,
        types=tuple(events),
        subject=_text(claims.get("sub")),
        resource_id=_text(subject.get("http://openbanking.org.uk/rid")),
        resource_type=_text(subject.get("http://openbanking.org.uk/rty")),
        happened_at=_instant(happened_at) if is_time(happened_at) else None,
        issued_at=_instant(issued_at),
        transaction_id=_text(claims.get("txn")),
        claims=claims,
    )


def _has_subject(event: object) -> bool:
    return isinstance(event, dict) and isinstance(event.get("subject"), dict)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _instant(value: object) -> datetime:
    return datetime.fromtimestamp(float(str(value)), UTC)
